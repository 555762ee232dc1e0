package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"longitude/internal/config"
	"longitude/internal/status"
	"longitude/study"
	"longitude/transform"
)

func (a *app) driftCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "drift", Short: "How the files of sources have changed shape"}
	cmd.AddCommand(a.driftListCommand(), a.driftShowCommand(), a.driftAcceptCommand())
	return cmd
}

func (a *app) driftListCommand() *cobra.Command {
	var filter status.DriftFilter
	cmd := &cobra.Command{
		Use: "list [SOURCE]", Short: "List changes of shape, newest first: columns and kinds, never values", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLimit(filter.Limit); err != nil {
				return err
			}
			if err := checkKind(filter.Kind, string(study.NewColumn), string(study.MissingColumn), string(study.TypeChange),
				string(study.NewChoice), string(study.DialectChange), string(study.HeaderUnknown)); err != nil {
				return err
			}
			h, err := a.open(cmd.Context(), needReading)
			if err != nil {
				return err
			}
			defer h.close()
			filter.Source = first(args)
			if err := h.configured(filter.Study, filter.Source); err != nil {
				return err
			}
			items, err := h.store.Drift(cmd.Context(), filter)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, d := range items {
				rows = append(rows, append(numbers(d.ID), d.Source, broughtBy(&d), d.Kind, d.Column, d.From, d.To, yes(d.Mapped), d.Action, when(&d.At)))
			}
			return a.print(items, []string{"id", "source", "brought by", "what", "column", "was", "becomes", "mapped", "policy", "at"}, rows)
		},
	}
	cmd.Flags().StringVar(&filter.Study, "study", "", "only this study")
	cmd.Flags().StringVar(&filter.Kind, "kind", "", "only this kind, e.g. new_column")
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "at most so many")
	return cmd
}

// broughtBy says what of the record tells more of a change.
func broughtBy(d *status.DriftItem) string {
	if d.Batch == 0 {
		return "run " + strconv.FormatInt(d.Run, 10)
	}
	return "batch " + strconv.FormatInt(d.Batch, 10)
}

func (a *app) driftShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show SOURCE", Short: "What the files of a source look like, as accepted last", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open(cmd.Context(), needReading)
			if err != nil {
				return err
			}
			defer h.close()
			if err := h.configured("", args[0]); err != nil {
				return err
			}
			shape, err := h.store.Shape(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			a.progress("%s", strings.TrimSpace("accepted with batch "+strconv.FormatInt(shape.Batch, 10)+", "+when(&shape.Since)+" "+shape.Dialect))
			var rows [][]string
			for i, c := range shape.Columns {
				rows = append(rows, []string{strconv.Itoa(i + 1), c.Name, or(c.Kind, "too few values")})
			}
			return a.print(shape, []string{"place", "column", "kind"}, rows)
		},
	}
}

func (a *app) driftAcceptCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "accept SOURCE", Short: "Let the next file of a source set its shape", Args: cobra.ExactArgs(1),
		Long:    "For a source that is frozen, or whose files are put aside, because they changed\nshape and are right. Map what is new first; the next file that is read sets the shape.\n\n" + exitCodes,
		Example: "  longitude drift accept site-a && longitude sync site-a\n  longitude drift accept site-a && longitude quarantine replay --source site-a",
	}
	why := whyFlags(cmd, "correction")
	without := cmd.Flags().Bool("without", false, "go on without the values of columns that the mapping reads and that are gone")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		reason, err := why()
		if err != nil {
			return err
		}
		h, err := a.open(cmd.Context(), needDatabase)
		if err != nil {
			return err
		}
		defer h.close()
		sources, err := h.sources(args)
		if err != nil {
			return err
		}
		if err := h.stillRead(cmd.Context(), sources[0]); err != nil && !*without {
			return err
		}
		item, err := h.decide(cmd.Context(), study.Decision{Kind: study.AcceptShape, Study: sources[0].Study, Source: sources[0].Name}, reason)
		if err != nil {
			return err
		}
		a.progress("accepted; `longitude sync %s` fetches what was refused, `longitude quarantine replay --source %s` reads what was put aside", item.Source, item.Source)
		return a.printDecisions([]status.DecisionItem{item})
	}
	return cmd
}

// stillRead refuses to accept that a column is gone which the mapping reads: the
// records that come again would lose its values.
func (h *house) stillRead(ctx context.Context, src *config.SourceConfig) error {
	s, err := h.study(src.Study)
	if err != nil {
		return err
	}
	mapper, problems := transform.NewMapper(s, &src.Source)
	if len(problems) > 0 {
		return nil // validate tells them
	}
	gone, err := h.store.Drift(ctx, status.DriftFilter{Source: src.Name, Kind: string(study.MissingColumn)})
	if err != nil {
		return err
	}
	gone = slices.DeleteFunc(gone, func(d status.DriftItem) bool { return d.Batch == 0 }) // nothing was put aside
	asked := mapper.Columns()
	var columns []string
	for _, d := range gone {
		if d.Batch == gone[0].Batch && d.Action == string(study.QuarantineDrift) && slices.Contains(asked, d.Column) {
			columns = append(columns, d.Column)
		}
	}
	if len(columns) == 0 {
		return nil
	}
	return &study.Error{Code: "drift.still_read", Exit: study.ExitBlocked,
		Op:   "the newest file that source " + src.Name + " put aside lacks what the mapping reads: " + strings.Join(columns, ", ") + "; its records would lose these values",
		Hint: "correct the mapping if the column has another name now, then accept; or accept with --without to go on without the values"}
}
