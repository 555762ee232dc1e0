package main

import (
	"github.com/spf13/cobra"

	"longitude/internal/status"
)

func (a *app) deviationCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "deviation", Short: "The work list of protocol deviations"}
	cmd.AddCommand(a.deviationListCommand())
	return cmd
}

func (a *app) deviationListCommand() *cobra.Command {
	var filter status.DeviationFilter
	cmd := &cobra.Command{
		Use: "list", Short: "List deviations and violations with their evidence", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(filter.Limit); err != nil {
				return err
			}
			if err := checkState(filter.State, "open", "explained", "resolved"); err != nil {
				return err
			}
			h, err := a.open(cmd.Context(), needDatabase)
			if err != nil {
				return err
			}
			defer h.close()
			if err := h.configured(filter.Study, ""); err != nil {
				return err
			}
			items, err := h.store.Deviations(cmd.Context(), filter)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, d := range items {
				rows = append(rows, append(numbers(d.ID), d.Study, d.Code, d.Visit, d.DeviationCode, d.Kind, d.State, d.Detail, d.Evidence))
			}
			return a.print(items, []string{"id", "study", "participant", "visit", "code", "kind", "state", "detail", "evidence"}, rows)
		},
	}
	cmd.Flags().StringVar(&filter.Study, "study", "", "only this study")
	cmd.Flags().StringVar(&filter.Code, "code", "", "only this code, e.g. visit_out_of_window")
	cmd.Flags().StringVar(&filter.State, "state", "", "open, explained or resolved")
	cmd.Flags().StringVar(&filter.Participant, "participant", "", "only this participant code")
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "at most so many")
	return cmd
}
