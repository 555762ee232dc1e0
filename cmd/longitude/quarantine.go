package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"longitude/internal/advice"
	"longitude/internal/status"
	"longitude/study"
)

func (a *app) quarantineCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "quarantine", Short: "The work list of rejected rows and records"}
	cmd.AddCommand(a.quarantineListCommand(), a.quarantineShowCommand(), a.quarantineReplayCommand(), a.quarantineWaiveCommand())
	return cmd
}

func (a *app) quarantineListCommand() *cobra.Command {
	var filter status.QuarantineFilter
	cmd := &cobra.Command{
		Use: "list", Short: "List what was rejected: where, by which rule, never what it says", Args: cobra.NoArgs,
		Example: "  longitude quarantine list --source site-a --rule date_invalid\n  longitude quarantine list --state open",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(filter.Limit); err != nil {
				return err
			}
			if err := checkState(filter.State, status.QuarantineOpen, status.QuarantineWaived, status.QuarantineReplayed); err != nil {
				return err
			}
			if err := checkRule(filter.Rule); err != nil {
				return err
			}
			h, err := a.open(cmd.Context(), needReading)
			if err != nil {
				return err
			}
			defer h.close()
			if err := h.configured(filter.Study, filter.Source); err != nil {
				return err
			}
			items, err := h.store.Quarantine(cmd.Context(), filter)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, q := range items {
				rows = append(rows, append(numbers(q.ID), q.Source, q.Site, strconv.FormatInt(q.Batch, 10), strconv.FormatInt(q.Line, 10),
					q.Form, q.Field, q.Rule, q.State, when(&q.FirstSeen), strconv.FormatInt(q.Seen, 10)))
			}
			return a.print(items, []string{"id", "source", "site", "batch", "line", "form", "field", "rule", "state", "first seen", "seen"}, rows)
		},
	}
	cmd.Flags().StringVar(&filter.Study, "study", "", "only this study")
	cmd.Flags().StringVar(&filter.Source, "source", "", "only this source")
	cmd.Flags().StringVar(&filter.Rule, "rule", "", "only this rule")
	cmd.Flags().StringVar(&filter.State, "state", "", "open, waived or replayed")
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "at most so many")
	return cmd
}

func (a *app) quarantineShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Where a quarantined row is, what its rule means and what to do", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := numbered("quarantined row", "longitude quarantine list", args[0])
			if err != nil {
				return err
			}
			h, err := a.open(cmd.Context(), needReading)
			if err != nil {
				return err
			}
			defer h.close()
			row, err := h.store.QuarantinedRow(cmd.Context(), id)
			if err != nil {
				return err
			}
			return a.printQuarantined(&row)
		},
	}
}

// printQuarantined prints everything about a row but what it says.
func (a *app) printQuarantined(q *status.QuarantinedRow) error {
	rule := advice.Of(q.Rule)
	rule.Fix = strings.ReplaceAll(rule.Fix, "SOURCE", q.Source)
	if a.output == "table" {
		what := "row"
		if q.Ordinal == 0 { // a file that was put aside whole
			what = "object"
		}
		fmt.Fprintf(a.out, "%s %d of source %s is %s\n", what, q.ID, q.Source, q.State)
		fmt.Fprintf(a.out, "refused by  %s: %s\n", q.Rule, rule.Meaning)
		if where := strings.Trim(q.Form+" "+q.Field, " "); where != "" {
			fmt.Fprintf(a.out, "about       %s\n", where)
		}
		fmt.Fprintf(a.out, "what to do  %s\n", rule.Fix)
		for _, d := range q.Decisions {
			fmt.Fprintf(a.out, "%-11s %s by %s, %s\n", d.Kind+"d", d.Reason, d.By, when(&d.At))
		}
		fmt.Fprintln(a.out)
	}
	var rows [][]string
	for _, g := range q.Sightings {
		rows = append(rows, append(numbers(g.Batch), g.Object, strconv.FormatInt(g.Ordinal, 10), strconv.FormatInt(g.Line, 10), strconv.FormatInt(g.Records, 10), yes(g.Current), when(&g.Seen)))
	}
	value := struct {
		*status.QuarantinedRow
		Meaning string `json:"meaning"`
		Fix     string `json:"fix"`
	}{q, rule.Meaning, rule.Fix}
	return a.print(value, []string{"batch", "object", "row", "line", "records", "newest", "seen"}, rows)
}

func (a *app) quarantineReplayCommand() *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use: "replay [ID...]", Short: "Read again the objects in which rows wait, under the mapping of today",
		Long:    "Without a number or --source, every object in which a row waits or that was put\naside. What is accepted now leaves the quarantine; the rest stays as it is.\n\n" + exitCodes,
		Example: "  longitude quarantine replay --source site-a\n  longitude quarantine replay 12 13",
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := numberedAll(args)
			if err != nil {
				return err
			}
			if len(ids) > 0 && source != "" {
				return &study.Error{Code: "usage.arguments", Op: "rows and a source are both named", Exit: study.ExitUsage, Hint: "name either"}
			}
			h, err := a.open(cmd.Context(), needDatabase)
			if err != nil {
				return err
			}
			defer h.close()
			objects, err := h.toReplay(cmd.Context(), ids, source)
			if err != nil {
				return err
			}
			if len(objects) == 0 {
				a.progress("nothing waits there: there is nothing to read again")
			}
			return a.replay(cmd.Context(), h, objects, "command")
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "only this source")
	return cmd
}

// numberedAll reads the numbers of quarantined rows.
func numberedAll(args []string) (ids []int64, err error) {
	for _, arg := range args {
		id, err := numbered("quarantined row", "longitude quarantine list", arg)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// toReplay are the objects of the rows named, else of the source, else of all.
func (h *house) toReplay(ctx context.Context, ids []int64, source string) (map[string][]study.LandedObject, error) {
	if len(ids) > 0 {
		return h.store.QuarantinedIn(ctx, ids)
	}
	var names []string
	if source != "" {
		names = []string{source}
	}
	sources, err := h.sources(names)
	if err != nil {
		return nil, err
	}
	return h.waiting(ctx, sources)
}

func (a *app) quarantineWaiveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "waive ID...", Short: "Say that quarantined rows are not wanted, and why", Args: cobra.MinimumNArgs(1),
		Long:    "The row stays kept and listed as waived; the reason is signed with the study's key.\nIf the same row is delivered again it is waived still.\n\n" + exitCodes,
		Example: "  longitude quarantine waive 12 13 --reason duplicate",
	}
	why := whyFlags(cmd, "")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := numberedAll(args)
		if err != nil {
			return err
		}
		reason, err := why()
		if err != nil {
			return err
		}
		h, err := a.open(cmd.Context(), needDatabase)
		if err != nil {
			return err
		}
		defer h.close()
		done := []status.DecisionItem{}
		var failure error
		for _, id := range ids {
			item, err := h.waive(cmd.Context(), id, reason)
			if err != nil {
				failure = err // those before it are recorded, and shown
				break
			}
			done = append(done, item)
		}
		if len(done) == 0 {
			return failure
		}
		if err := a.printDecisions(done); err != nil {
			return err
		}
		return failure
	}
	return cmd
}
