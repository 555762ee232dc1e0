package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longitude/internal/release"
	"longitude/internal/status"
	"longitude/pipeline"
	"longitude/study"
)

func (a *app) releaseCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "release", Short: "Build, list and verify releases"}
	cmd.AddCommand(a.releaseBuildCommand(), a.releaseWaiveCommand(), a.releaseListCommand(), a.releaseShowCommand(), a.releaseDiffCommand(), a.releaseVerifyCommand())
	return cmd
}

func (a *app) releaseBuildCommand() *cobra.Command {
	var asOf, series, urgent string
	var signer *pen
	cmd := &cobra.Command{
		Use: "build [STUDY]", Short: "Build and publish a release", Args: cobra.MaximumNArgs(1),
		Long: `Judges everything recorded so far on the as-of date, takes it through the release
rules, lets the risk gate look, checks it and publishes it. Interrupted, it can be
run again: the same plan gives the same bytes.

A release that follows the one before sooner than min_release_interval is refused.
--urgent gives the reason why this one must not wait, and a release manager signs it.

` + exitCodes,
		Example: "  longitude release build\n  longitude release build amd-obs-01 --as-of 2026-03-01",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open(cmd.Context(), needDatabase)
			if err != nil {
				return err
			}
			defer h.close()
			s, err := h.study(strings.Join(args, ""))
			if err != nil {
				return err
			}
			date, err := h.asOf(s, asOf)
			if err != nil {
				return err
			}
			if err := h.inSeries(cmd.Context(), s, series); err != nil {
				return err
			}
			if urgent != "" {
				if err := h.urge(cmd.Context(), s, date, signer, urgent); err != nil {
					return err
				}
			}
			built, err := h.build(cmd.Context(), s, date, "command")
			if err != nil {
				return err
			}
			return a.printRelease(s, built)
		},
	}
	cmd.Flags().StringVar(&asOf, "as-of", "", "judge visits on this date, YYYY-MM-DD (default: today at the study)")
	cmd.Flags().StringVar(&series, "series", "", "refuse unless this is the series that releases are built in")
	cmd.Flags().StringVar(&urgent, "urgent", "", "reason why the release must not wait for min_release_interval")
	signer = signFlags(cmd)
	return cmd
}

// inSeries refuses to build in a series other than the one named.
func (h *house) inSeries(ctx context.Context, s *study.Study, name string) error {
	if name == "" {
		return nil
	}
	in, err := h.store.Series(ctx, s.Name)
	if err != nil || in.Name == name {
		return err
	}
	return &study.Error{Code: "series.closed", Op: "releases of study " + s.Name + " are built in series " + in.Name + ", not in the one named", Exit: study.ExitUsage,
		Hint: "`longitude series list` shows them; a series that was followed by another stays closed"}
}

// asOf reads a date, or answers today where the study is.
func (h *house) asOf(s *study.Study, text string) (study.Date, error) {
	loc, err := time.LoadLocation(s.Timezone)
	if err != nil {
		loc = time.UTC
	}
	today := study.DateOf(h.now(), loc)
	if text == "" {
		return today, nil
	}
	d, ok := study.ParseDate(text)
	if !ok {
		return d, &study.Error{Code: "usage.date", Op: "--as-of is not a date", Exit: study.ExitUsage, Hint: "write it as YYYY-MM-DD"}
	}
	if d > today {
		return d, &study.Error{Code: "usage.date", Op: "--as-of is a day that has not come", Exit: study.ExitUsage,
			Hint: "name today or a day before: visits that are not due yet would count as missed"}
	}
	return d, nil
}

func (a *app) printRelease(s *study.Study, r pipeline.Release) error {
	if r.Busy {
		a.progress("%s: a release is being built elsewhere", s.Name)
		return nil
	}
	var rows [][]string
	for _, p := range r.Publications {
		rows = append(rows, []string{r.Plan.ID, p.Sink, p.Claim, strconv.Itoa(p.Tables), strconv.FormatInt(p.Rows, 10),
			strconv.FormatInt(p.Bytes, 10), p.Location})
	}
	return a.print(r, []string{"release", "sink", "claim", "tables", "rows", "bytes", "location"}, rows)
}

// build makes one release of a study. What objects brought is settled first, so
// that the pages and the release tell the same.
func (h *house) build(ctx context.Context, s *study.Study, asOf study.Date, trigger string) (pipeline.Release, error) {
	if err := h.settle(ctx, s.Name, trigger); err != nil {
		return pipeline.Release{}, err
	}
	r, err := h.releaser(ctx, s)
	if err != nil {
		return pipeline.Release{}, err
	}
	for _, warning := range r.Recipient.Warnings() {
		h.a.progress("%s: warning: %s", s.Name, warning)
	}
	built, err := r.Build(ctx, asOf, trigger)
	if err == nil { // the release stands, whether or not it could be anchored
		h.tellAnchored(ctx, h.anchorAll(ctx))
	}
	return built, err
}

func (a *app) releaseListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [STUDY]", Short: "List releases, newest first", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open(cmd.Context(), needReading)
			if err != nil {
				return err
			}
			defer h.close()
			name := strings.Join(args, "")
			if err := h.configured(name, ""); err != nil {
				return err
			}
			list, err := h.store.Releases(cmd.Context(), name)
			if err != nil {
				return err
			}
			return a.print(list, releaseColumns, releaseRows(list))
		},
	}
}

var releaseColumns = []string{"release", "state", "as of", "claim", "tables", "rows", "bytes", "location"}

func releaseRows(list []status.Release) [][]string {
	var rows [][]string
	for _, r := range list {
		rows = append(rows, []string{r.ID, r.State, r.AsOf, r.Claim, strconv.Itoa(r.Tables), strconv.FormatInt(r.Rows, 10),
			strconv.FormatInt(r.Bytes, 10), r.Location})
	}
	return rows
}

func (a *app) releaseVerifyCommand() *cobra.Command {
	var policy string
	var deep bool
	cmd := &cobra.Command{
		Use: "verify PATH", Short: "Check a release offline, against a pinned policy", Args: cobra.ExactArgs(1),
		Long: `Needs neither network nor database, only the release's folder and the policy that
says whose signature counts. Take the policy from where the release's owner
publishes it, never from the release. With --deep every row is read, too, and compared
with the content roots that were signed.

A release in a bucket is copied to a temporary folder (TMPDIR) first and checked
there. current is followed, in a folder as in a bucket.

Exits 0 when the release is sound, 5 when it was tampered with, 3 when it could not be checked.`,
		Example: "  longitude release verify .longitude/releases/amd-obs-01/amd_obs_01_r001 --policy .longitude/policy/amd-obs-01.json\n  longitude release verify gs://eye-releases/amd-obs-01/current --policy amd-obs-01.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if policy == "" {
				return &study.Error{Code: "usage.policy", Op: "no policy is named, and a release cannot say itself who may sign it", Exit: study.ExitUsage,
					Hint: "name it with --policy; the release's owner publishes it outside of the release"}
			}
			dir, clear, err := fetched(cmd.Context(), args[0], "", nil)
			if err != nil {
				return err
			}
			defer clear()
			return a.verify(cmd.Context(), dir, policy, deep)
		},
	}
	cmd.Flags().StringVar(&policy, "policy", "", "policy file with the public keys that count (required)")
	cmd.Flags().BoolVar(&deep, "deep", false, "also read every row and compute the content roots again")
	return cmd
}

func (a *app) verify(ctx context.Context, dir, policyFile string, deep bool) error {
	policy, err := release.ReadPolicy(policyFile)
	if err != nil {
		return err
	}
	report, err := release.Verify(ctx, dir, policy, deep)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, f := range report.Findings {
		rows = append(rows, []string{f.Code, f.Path, f.Message})
	}
	if report.Sound() {
		rows = append(rows, []string{"sound", "", "every file is as signed"})
	}
	if err := a.print(report, []string{"finding", "file", "what"}, rows); err != nil {
		return err
	}
	return report.Err()
}

// verified is nil for a release that is sound to the last row.
func verified(ctx context.Context, dir, policyFile string) error {
	policy, err := release.ReadPolicy(policyFile)
	if err != nil {
		return err
	}
	report, err := release.Verify(ctx, dir, policy, true)
	if err != nil {
		return err
	}
	return report.Err()
}

// policyFile is where the policy of a study's releases is written, for its owner
// to publish out of band.
func policyFile(dataDir, studyName string) string {
	return filepath.Join(dataDir, "policy", studyName+".json")
}

// writePolicy writes down whose signature counts for a study's releases.
func (h *house) writePolicy(s *study.Study) error {
	keys, err := h.ring.Publics(s.Name)
	if err != nil {
		return err
	}
	policy := release.NewPolicy(keys[0].ID, keys[0].Public)
	for _, key := range keys[1:] {
		policy = policy.And(key.ID, key.Public)
	}
	file := policyFile(h.cfg.Service.DataDir, s.Name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return &study.Error{Code: "release.policy", Op: "cannot write the verification policy", Exit: study.ExitEnvironment,
			Hint: "set service.data_dir to a folder this user may write to"}
	}
	return release.WritePolicy(file, policy)
}
