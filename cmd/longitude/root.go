package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"

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
	command  string
	prepared bool // the command line is understood: what fails now is the work

	inspecting bool // a database without its guards is looked at, too
	level      slog.LevelVar
	log        *slog.Logger
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	a := &app{out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	root.InitDefaultCompletionCmd()
	explain(root)
	err := root.ExecuteContext(ctx)
	var done exitWith
	said := errors.As(err, &done)
	if err != nil && !said {
		a.report(err)
	}
	switch {
	case err == nil:
		return study.ExitOK
	case ctx.Err() != nil:
		return interrupted(ctx)
	case said:
		return int(done)
	case !a.prepared:
		return study.ExitUsage // cobra's own: unknown command or flag
	}
	return exitCode(err)
}

// interrupted is the exit code by which a shell tells Ctrl-C from a request to stop.
func interrupted(ctx context.Context) int {
	if strings.HasPrefix(context.Cause(ctx).Error(), syscall.SIGTERM.String()) {
		return 128 + int(syscall.SIGTERM)
	}
	return 128 + int(syscall.SIGINT)
}

// exitWith ends a command with a code and nothing more to say.
type exitWith int

func (e exitWith) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func exitCode(err error) int {
	var e *study.Error
	switch {
	case !errors.As(err, &e):
	case e.Exit != 0:
		return e.Exit
	case e.Temporary:
		return study.ExitEnvironment
	}
	return study.ExitFailed
}

// report prints an error with its place, its code and what to do.
func (a *app) report(err error) {
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(a.err, "interrupted: what is recorded is whole; run it again to go on")
		return
	}
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
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(a.commands()...)
	return root
}

func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.demoCommand(), a.validateCommand(), a.planCommand(), a.applyCommand(), a.checkCommand(), a.discoverCommand(), a.previewCommand(), a.syncCommand(), a.serveCommand(),
		a.statusCommand(), a.runCommand(), a.filesCommand(), a.quarantineCommand(), a.replayCommand(), a.driftCommand(), a.deviationCommand(), a.decisionCommand(), a.participantCommand(),
		a.lockCommand(), a.unlockCommand(), a.releaseCommand(), a.historyCommand(), a.lineageCommand(), a.keysCommand(), a.seriesCommand(), a.deidCommand(), a.vaultCommand(), a.textCommand(), a.auditCommand(), a.personCommand(), a.signatureCommand(), a.migrateCommand(), a.versionCommand(),
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
	a.command, a.prepared = strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" "), true
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
