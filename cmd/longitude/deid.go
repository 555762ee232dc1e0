package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"longitude/deid"
	"longitude/internal/keys"
	"longitude/internal/release"
	"longitude/study"
)

func (a *app) deidCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "deid", Short: "What leaves in releases, and under which claim"}
	cmd.AddCommand(a.deidExplainCommand(), a.deidCheckCommand())
	return cmd
}

func (a *app) deidExplainCommand() *cobra.Command {
	var table, asOf string
	cmd := &cobra.Command{
		Use: "explain [STUDY]", Short: "For every column what leaves, by which rule, and the claim it allows", Args: cobra.MaximumNArgs(1),
		Long: `Applies the study's policy to every column that a release could have and says what
leaves in its place, by which rule, the strongest claim that the rule allows, and
for quasi-identifiers the hierarchy and level. Needs the configuration alone: no
database, no key, no data.

` + exitCodes,
		Example: "  longitude deid explain\n  longitude deid explain amd-obs-01 --table participants\n  longitude deid explain --output json",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open(cmd.Context(), needConfig)
			if err != nil {
				return err
			}
			s, err := h.study(strings.Join(args, ""))
			if err != nil {
				return err
			}
			date, err := h.asOf(s, asOf)
			if err != nil {
				return err
			}
			return a.explainRelease(s, table, date)
		},
	}
	cmd.Flags().StringVar(&table, "table", "", "of one table only")
	cmd.Flags().StringVar(&asOf, "as-of", "", "reckon ages and expiry on this date, YYYY-MM-DD (default: today at the study)")
	return cmd
}

// explainRelease projects all tables of a release of s under a key that was never
// used.
func (a *app) explainRelease(s *study.Study, table string, asOf study.Date) error {
	recipient, err := deid.NewRecipient(s, "explain", keys.Throwaway())
	if err != nil {
		return err
	}
	recipient.Begin(asOf, study.NoDate, asOf)
	known := map[string]bool{}
	for _, t := range release.Tables(s) {
		if known[t.Name] = true; table != "" && t.Name != table {
			continue
		}
		if _, err := recipient.Project(t); err != nil {
			return err
		}
	}
	if table != "" && !known[table] {
		return &study.Error{Code: "usage.table", Op: "releases of study " + s.Name + " have no table " + table, Exit: study.ExitUsage,
			Hint: "leave --table out to see all"}
	}
	report := recipient.Report()
	if err := a.print(report, columnHeader[:len(columnHeader)-1], columnRows(report, false)); err != nil {
		return err
	}
	a.progressReport(report)
	return nil
}

var columnHeader = []string{"table", "column", "class", "leaves as", "rule", "at most", "level", "values changed"}

func columnRows(report deid.Report, counted bool) [][]string {
	var rows [][]string
	for _, c := range report.Columns {
		leaves := strings.Join(c.Released, ", ")
		if leaves == "" {
			leaves = "–"
		}
		row := []string{c.Table, c.Column, string(c.Class), leaves, c.Rule, c.Claim, strings.TrimSpace(c.Hierarchy + " " + c.Level)}
		if counted {
			row = append(row, c.Changed())
		}
		rows = append(rows, row)
	}
	return rows
}

// progressReport says below the table what the release as a whole may claim.
func (a *app) progressReport(report deid.Report) {
	a.progress("%s: profile %s, claim %s", report.Study, report.Profile, report.Claim)
	for _, reason := range report.Because {
		a.progress("  %s", reason)
	}
	for _, warning := range report.Warnings {
		a.progress("warning: %s", warning)
	}
	for _, i := range report.Identifiers {
		if i.Status == deid.NotEvaluated {
			a.progress("warning: %s (%s) is not evaluated: %s", i.Letter, i.Name, strings.Join(i.Columns, ", "))
		}
	}
}

func (a *app) deidCheckCommand() *cobra.Command {
	var asOf string
	var markdown bool
	cmd := &cobra.Command{
		Use: "check [STUDY]", Short: "Take what a release would hold through all its rules, publishing nothing", Args: cobra.MaximumNArgs(1),
		Long: `Judges everything recorded so far on the as-of date and takes it through door 2, as
a release does, and throws the result away: no plan, no run and no file is left.
Prints for every column what the rules did, counts of one to ten as <11. Exits 5
where a release would be refused.

` + exitCodes,
		Example: "  longitude deid check\n  longitude deid check amd-obs-01 --as-of 2026-03-01 --markdown",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open(cmd.Context(), needReading)
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
			return a.rehearse(cmd.Context(), h, s, date, markdown)
		},
	}
	cmd.Flags().StringVar(&asOf, "as-of", "", "judge visits on this date, YYYY-MM-DD (default: today at the study)")
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the whole report, as people read it")
	return cmd
}

func (a *app) rehearse(ctx context.Context, h *house, s *study.Study, asOf study.Date, markdown bool) error {
	r, err := h.releaser(ctx, s)
	if err != nil {
		return err
	}
	report, err := r.Rehearse(ctx, asOf)
	if report.Study == "" {
		return err
	}
	if markdown {
		_, werr := a.out.Write(report.Markdown())
		return errors.Join(werr, err)
	}
	if perr := a.print(report, columnHeader, columnRows(report, true)); perr != nil {
		return perr
	}
	a.progressReport(report)
	return err
}
