package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"longitude/internal/status"
	"longitude/study"
)

func (a *app) runCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "run", Short: "List and show runs"}
	cmd.AddCommand(a.runListCommand(), a.runShowCommand())
	return cmd
}

func (a *app) runListCommand() *cobra.Command {
	var filter status.RunFilter
	cmd := &cobra.Command{
		Use: "list", Short: "List runs, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(filter.Limit); err != nil {
				return err
			}
			if err := checkState(filter.State, "running", "succeeded", "failed", "interrupted"); err != nil {
				return err
			}
			if err := checkKind(filter.Kind, status.KindSync, status.KindReplay, status.KindRejudge, status.KindRelease); err != nil {
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
			runs, err := h.store.Runs(cmd.Context(), filter)
			if err != nil {
				return err
			}
			return a.printRuns(runs, runs)
		},
	}
	cmd.Flags().StringVar(&filter.Source, "source", "", "only this source")
	cmd.Flags().StringVar(&filter.Kind, "kind", "", "sync, replay, rejudge or release")
	cmd.Flags().StringVar(&filter.State, "state", "", "running, succeeded, failed or interrupted")
	cmd.Flags().IntVar(&filter.Limit, "limit", 20, "at most so many")
	return cmd
}

func (a *app) runShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one run", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, ok := number(args[0])
			if !ok {
				return &study.Error{Code: "usage.run", Op: "a run is named by its number", Exit: study.ExitUsage, Hint: "`longitude run list` shows them"}
			}
			h, err := a.open(cmd.Context(), needReading)
			if err != nil {
				return err
			}
			defer h.close()
			r, err := h.store.Run(cmd.Context(), id)
			if err != nil {
				return err
			}
			if err := a.printRuns(r, []status.Run{r}); err != nil {
				return err
			}
			if r.ErrorText != "" {
				a.progress("%s\n  → %s", r.ErrorText, r.ErrorHint)
			}
			return nil
		},
	}
}

func (a *app) printRuns(value any, runs []status.Run) error {
	var rows [][]string
	for _, r := range runs {
		c := r.Counts
		rows = append(rows, append([]string{strconv.FormatInt(r.ID, 10), r.Kind, r.Study, r.Source, r.State, when(r.Started), r.Took().Round(1e6).String(), strconv.Itoa(r.Objects)},
			append(numbers(c.Read, c.Produced, c.Accepted, c.Unchanged, c.Superseded, c.Quarantined+c.RowsQuarantined, c.Held), r.ErrorCode)...))
	}
	return a.print(value, []string{"run", "kind", "study", "source", "state", "started", "took", "objects",
		"read", "produced", "accepted", "unchanged", "superseded", "quarantined", "held", "error"}, rows)
}

func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0
}
