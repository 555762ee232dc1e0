package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"longitude/internal/telemetry"
	"longitude/study"
)

const exitCodes = `Exit codes: 0 done · 1 failed · 2 usage or configuration · 3 environment (source,
database or store out of reach; try again) · 4 done, with rejections · 5 blocked by
policy or integrity · 130/143 interrupted, safe to run again.`

// app is what every command shares: where it reads and writes, and the flags of all.
type app struct {
	out, err io.Writer
	dir      string // config folder
	output   string // table | json | csv
	quiet    bool
	level    slog.LevelVar
	log      *slog.Logger
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	a := &app{out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return study.ExitOK
	}
	var done exitWith
	if errors.As(err, &done) {
		return int(done)
	}
	a.report(err)
	if ctx.Err() != nil {
		return 130
	}
	return exitCode(err)
}

// exitWith ends a command with a code and nothing more to say.
type exitWith int

func (e exitWith) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func exitCode(err error) int {
	var e *study.Error
	switch {
	case !errors.As(err, &e):
		return study.ExitUsage // cobra's own: unknown command or flag
	case e.Exit != 0:
		return e.Exit
	case e.Temporary:
		return study.ExitEnvironment // try again
	}
	return study.ExitFailed
}

// report prints an error with its place, its code and what to do.
func (a *app) report(err error) {
	var e *study.Error
	if !errors.As(err, &e) {
		fmt.Fprintf(a.err, "error: %s\n", err)
		return
	}
	fmt.Fprintf(a.err, "error: %s\n", e.Error())
	if e.Hint != "" {
		fmt.Fprintf(a.err, "  → %s\n", e.Hint)
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "longitude",
		Short:         "Versioned, de-identified, verifiable releases of longitudinal clinical studies",
		Long:          "Longitude pulls the drops of a clinical study, judges visits against the protocol,\nsplits identity off, records everything in Postgres and publishes signed Parquet releases.\n\n" + exitCodes,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) },
	}
	f := root.PersistentFlags()
	f.StringVarP(&a.dir, "config", "c", defaultDir(), "folder of the configuration (or LONGITUDE_CONFIG)")
	f.StringVarP(&a.output, "output", "o", "table", "table, json or csv")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no progress on stderr")
	f.Bool("debug", false, "log at debug level")
	root.AddCommand(a.commands()...)
	return root
}

func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.demoCommand(), a.validateCommand(), a.checkCommand(), a.previewCommand(), a.syncCommand(), a.serveCommand(),
		a.statusCommand(), a.runCommand(), a.quarantineCommand(), a.deviationCommand(), a.participantCommand(),
		a.releaseCommand(), a.migrateCommand(), a.versionCommand(),
	}
}

func (a *app) prepare(cmd *cobra.Command) error {
	switch a.output {
	case "table", "json", "csv":
	default:
		return &study.Error{Code: "usage.output", Op: "unknown output format", Exit: study.ExitUsage, Hint: "use --output table, json or csv"}
	}
	if debug, _ := cmd.Flags().GetBool("debug"); debug {
		a.level.Set(slog.LevelDebug)
	} else {
		a.level.Set(slog.LevelWarn)
	}
	a.log = telemetry.NewLogger(a.err, &a.level)
	return nil
}

func defaultDir() string {
	if dir := os.Getenv("LONGITUDE_CONFIG"); dir != "" {
		return dir
	}
	return "."
}

// progress prints one line of what is going on to stderr.
func (a *app) progress(format string, args ...any) {
	if a.quiet {
		return
	}
	fmt.Fprintln(a.err, strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
}
