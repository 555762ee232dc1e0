package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"longitude/internal/status"
)

func (a *app) quarantineCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "quarantine", Short: "The work list of rejected rows and records"}
	cmd.AddCommand(a.quarantineListCommand())
	return cmd
}

func (a *app) quarantineListCommand() *cobra.Command {
	var filter status.QuarantineFilter
	cmd := &cobra.Command{
		Use: "list", Short: "List what was rejected: where, by which rule, never what it says", Args: cobra.NoArgs,
		Example: "  longitude quarantine list --source site-a --rule date_invalid",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(filter.Limit); err != nil {
				return err
			}
			h, err := a.open(cmd.Context(), needDatabase)
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
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "at most so many")
	return cmd
}
