package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longitude/configs"
	"longitude/internal/edctest/sshd"
	"longitude/internal/localpg"
	"longitude/internal/status"
	"longitude/internal/synth"
	"longitude/pipeline"
	"longitude/study"
)

func (a *app) demoCommand() *cobra.Command {
	d := demo{a: a}
	cmd := &cobra.Command{
		Use: "demo", Short: "The whole main job on a synthetic study, nothing to configure", Args: cobra.NoArgs,
		Long: `Writes a synthetic AMD study (five sites, 500 participants, mistakes included),
serves its files by SFTP, pulls them, judges them, builds a release, then does the
same with a second delivery of corrections, and shows where to look.

Everything is in one folder, which is made afresh. Nothing leaves this machine.

` + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&d.dir, "dir", filepath.Join(".longitude", "demo"), "folder to work in; an earlier demo there is replaced")
	f.BoolVar(&d.keep, "keep", false, "go on serving the status page afterwards")
	f.Uint64Var(&d.options.Seed, "seed", 1, "seed of the synthetic study")
	f.IntVar(&d.options.Participants, "participants", 500, "number of participants")
	return cmd
}

type demo struct {
	a       *app
	dir     string
	keep    bool
	options synth.Options
	started time.Time
}

// demoDays is how long the demo's study has been running.
const demoDays = 450

// demoMark is in every folder a demo made: only such a folder is replaced.
const demoMark = ".longitude-demo"

func (d *demo) run(ctx context.Context) error {
	if d.options.Participants < 1 {
		return &study.Error{Code: "usage.participants", Op: "--participants is below 1", Exit: study.ExitUsage, Hint: "name a positive number"}
	}
	d.started = time.Now()
	today := study.DateOf(d.started, time.UTC)
	d.options.Start, d.options.Until = today-demoDays, today-synth.Second // so that the second delivery is today's
	if err := d.prepare(); err != nil {
		return err
	}
	server, err := sshd.Start(ctx, filepath.Join(d.dir, "drops"))
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	if err := d.configure(server); err != nil {
		return err
	}
	d.a.dir = d.dir
	h, err := d.a.open(ctx, needDatabase)
	if err != nil {
		return err
	}
	defer h.close()
	h.observer = bySource{d}
	var releases []pipeline.Release
	for delivery := 1; delivery <= 2; delivery++ {
		r, err := d.deliver(ctx, h, delivery)
		if err != nil {
			return err
		}
		releases = append(releases, r)
	}
	if err := d.tour(ctx, h, releases); err != nil {
		return err
	}
	if !d.keep {
		fmt.Fprintf(d.a.out, "\nstatus page  run `make demo KEEP=1`, or: %s serve --config %s   → http://%s/\n", os.Args[0], d.dir, h.cfg.Service.Listen)
		return nil
	}
	d.step("serving; stop with Ctrl-C")
	return d.a.serve(ctx, h)
}

func (d *demo) step(format string, args ...any) {
	d.a.progress("[%5.1fs] "+format, append([]any{time.Since(d.started).Seconds()}, args...)...)
}

// prepare makes the demo's folder, replacing an earlier demo and nothing else.
func (d *demo) prepare() error {
	dir, err := filepath.Abs(d.dir)
	if err != nil {
		return err
	}
	d.dir = dir
	entries, err := os.ReadDir(dir)
	_, mark := os.Stat(filepath.Join(dir, demoMark))
	absent := errors.Is(err, fs.ErrNotExist)
	if err != nil && !absent || len(entries) > 0 && mark != nil {
		return &study.Error{Code: "demo.folder", Op: "the demo's folder is not empty and was not made by a demo, or is no folder", Exit: study.ExitUsage,
			Hint: "name another folder with --dir"}
	}
	if localpg.Running(filepath.Join(dir, ".longitude", "postgres")) {
		return &study.Error{Code: "demo.running", Op: "another command is at work in the demo's folder", Exit: study.ExitEnvironment,
			Hint: "stop it first (Ctrl-C), or name another folder with --dir"}
	}
	if err := os.RemoveAll(dir); err != nil {
		return demoError(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o755); err != nil {
		return demoError(err)
	}
	return demoError(os.WriteFile(filepath.Join(dir, demoMark), nil, 0o644))
}

func demoError(err error) error {
	if err == nil {
		return nil
	}
	return &study.Error{Code: "demo.files", Op: "the demo cannot write its files", Exit: study.ExitEnvironment,
		Hint: "name a folder you may write to with --dir", Err: err}
}

// configure writes the example's configuration, with this machine's server in
// the place of the sites'.
func (d *demo) configure(server *sshd.Server) error {
	for name, content := range map[string]string{"key": string(server.PrivateKey), "known_hosts": server.KnownHosts} {
		if err := os.WriteFile(filepath.Join(d.dir, "secrets", name), []byte(content), 0o600); err != nil {
			return demoError(err)
		}
	}
	return fs.WalkDir(configs.AMD, "amd", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := fs.ReadFile(configs.AMD, path)
		if err != nil {
			return err
		}
		name := filepath.Base(path)
		return demoError(os.WriteFile(filepath.Join(d.dir, name), []byte(d.local(string(text), server, strings.TrimSuffix(name, ".yaml"))), 0o644))
	})
}

// local points a site's source at the demo's server: the lines of the connector
// that say where, who and with which key.
func (d *demo) local(text string, server *sshd.Server, site string) string {
	replaced := map[string]string{
		"  address: ":     "  address: " + server.Address,
		"  user: ":        "  user: " + server.User,
		"  private_key: ": "  private_key: ${file:secrets/key}",
		"  known_hosts: ": "  known_hosts: secrets/known_hosts",
		"  path: ":        "  path: " + filepath.Join(server.Root, site, "*.csv"),
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		for prefix, with := range replaced {
			if strings.HasPrefix(line, prefix) {
				lines[i] = with
			}
		}
	}
	return strings.Join(lines, "\n")
}

// deliver writes one delivery, pulls it and builds a release judged on its day.
func (d *demo) deliver(ctx context.Context, h *house, delivery int) (pipeline.Release, error) {
	d.options.Delivery = delivery
	truth, err := synth.Generate(filepath.Join(d.dir, "drops"), d.options)
	if err != nil {
		return pipeline.Release{}, err
	}
	d.step("delivery %d: %d files, %d rows of %d participants (%d corrections, %d faulty rows planted)",
		delivery, len(truth.Files), truth.Rows, truth.Participants, truth.Corrections, sum(truth.Bad))
	var total study.Counts
	for _, src := range h.cfg.Sources {
		out, err := h.sync(ctx, src, "command")
		if err != nil {
			return pipeline.Release{}, err
		}
		total.Add(out.Counts)
	}
	d.step("recorded: %s", describe(total))
	s, err := h.study("")
	if err != nil {
		return pipeline.Release{}, err
	}
	r, err := h.build(ctx, s, truth.Date, "command")
	if err == nil {
		d.step("released: %s", r.Plan.ID)
	}
	return r, err
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// bySource tells a line per source: the demo's many small files would drown the rest.
type bySource struct{ d *demo }

func (bySource) ObjectDone(string, int, study.Counts) {}

func (b bySource) RunDone(kind, _, source string, objects int, c study.Counts, _ time.Duration, err error) {
	if kind == "sync" && err == nil {
		b.d.step("  %s: %d objects, %s", source, objects, describe(c))
	}
}

// tour prints what there is to see.
func (d *demo) tour(ctx context.Context, h *house, releases []pipeline.Release) error {
	s, err := h.study("")
	if err != nil {
		return err
	}
	summary, err := h.store.Summary(ctx, s.Name)
	if err != nil {
		return err
	}
	w := d.a.out
	fmt.Fprintf(w, "\n%s: %d participants, %d enrolled, %d withdrawn; %d records held\n", summary.Title, summary.Participants,
		summary.Enrolled, summary.Withdrawn, summary.Held)
	fmt.Fprintf(w, "\n%-11s %9s %9s %6s %6s %7s\n", "visit", "completed", "in window", "early", "late", "missed")
	for _, v := range summary.Visits {
		fmt.Fprintf(w, "%-11s %9d %9d %6d %6d %7d\n", or(v.Visit, "unscheduled"), v.Completed, v.InWindow, v.Early, v.Late, v.Missed)
	}
	fmt.Fprintf(w, "\ndeviations and violations (open, explained)\n")
	for _, c := range summary.Deviations {
		fmt.Fprintf(w, "  %-24s %-9s %5d %5d\n", c.Code, c.Kind, c.Open, c.Explained)
	}
	fmt.Fprintf(w, "\nquarantine\n")
	for _, q := range summary.Quarantine {
		fmt.Fprintf(w, "  %-24s %5d\n", q.Rule, q.Count)
	}
	if err := d.balance(ctx, h); err != nil {
		return err
	}
	return d.releases(ctx, h, s, releases)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// balance shows that every row read is accounted for.
func (d *demo) balance(ctx context.Context, h *house) error {
	runs, err := h.store.Runs(ctx, status.RunFilter{Kind: status.KindSync})
	if err != nil {
		return err
	}
	var c study.Counts
	for _, r := range runs {
		c.Add(r.Counts)
	}
	rows, records := c.Unaccounted()
	fmt.Fprintf(d.a.out, "\nevery row accounted for (%d rows, %d records unaccounted)\n", rows, records)
	fmt.Fprintf(d.a.out, "  rows     %d read = %d mapped + %d quarantined + %d ignored\n", c.Read, c.Mapped, c.RowsQuarantined, c.Ignored)
	fmt.Fprintf(d.a.out, "  records  %d produced = %d accepted + %d unchanged + %d superseded + %d quarantined + %d held\n",
		c.Produced, c.Accepted, c.Unchanged, c.Superseded, c.Quarantined, c.Held)
	return nil
}

// releases verifies each release the way a stranger would, with the policy alone.
func (d *demo) releases(ctx context.Context, h *house, s *study.Study, releases []pipeline.Release) error {
	fmt.Fprintf(d.a.out, "\nreleases\n")
	for _, r := range releases {
		for _, p := range r.Publications {
			verdict := "sound: every file and every row is as signed"
			if err := verified(ctx, folderOf(p.Location), policyFile(h.cfg.Service.DataDir, s.Name)); err != nil {
				return err
			}
			fmt.Fprintf(d.a.out, "  %s  as of %s  %d tables, %d rows, claim %q\n    %s\n    verify: %s\n",
				r.Plan.ID, r.Plan.AsOf, p.Tables, p.Rows, p.Claim, folderOf(p.Location), verdict)
		}
	}
	return nil
}
