package main

import (
	"github.com/spf13/cobra"

	"longitude/internal/status"
	"longitude/study"
)

func (a *app) deviationCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "deviation", Short: "The work list of protocol deviations"}
	cmd.AddCommand(a.deviationListCommand(), a.deviationExplainCommand())
	return cmd
}

func (a *app) deviationListCommand() *cobra.Command {
	var filter status.DeviationFilter
	cmd := &cobra.Command{
		Use: "list", Short: "List deviations, violations and findings with their evidence", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(filter.Limit); err != nil {
				return err
			}
			if err := checkState(filter.State, "open", "explained", "resolved"); err != nil {
				return err
			}
			if err := checkKind(filter.Kind, string(study.IsDeviation), string(study.IsViolation), string(study.IsFinding)); err != nil {
				return err
			}
			h, err := a.open(cmd.Context(), needReading)
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
				rows = append(rows, append(numbers(d.ID), d.Study, d.Code, d.Visit, d.DeviationCode, d.Kind, d.State, d.Detail, d.Evidence, explanation(d.Explanation)))
			}
			return a.print(items, []string{"id", "study", "participant", "visit", "code", "kind", "state", "detail", "evidence", "explanation"}, rows)
		},
	}
	cmd.Flags().StringVar(&filter.Study, "study", "", "only this study")
	cmd.Flags().StringVar(&filter.Code, "code", "", "only this code, e.g. visit_out_of_window")
	cmd.Flags().StringVar(&filter.Kind, "kind", "", "deviation, violation, or finding (of a check across forms)")
	cmd.Flags().StringVar(&filter.State, "state", "", "open, explained or resolved")
	cmd.Flags().StringVar(&filter.Participant, "participant", "", "only this participant code")
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "at most so many")
	return cmd
}

// explanation is a person's reason in a few words, "" where there is none.
func explanation(e *status.Explanation) string {
	if e == nil {
		return ""
	}
	return e.Reason + ", " + e.By
}

func (a *app) deviationExplainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain ID", Short: "Give the reason of a deviation, for the evidence it has now", Args: cobra.ExactArgs(1),
		Long:    "The reason is signed with the study's key and holds for this evidence and no other:\nif the facts change, the deviation is open again. Where the protocol requires a\nreason, the data that waited for it are judged at once.\n\n" + exitCodes,
		Example: "  longitude deviation explain 12 --reason travel\n  longitude deviation explain 12 --reason other --note -   reads the note from standard input",
	}
	why := whyFlags(cmd, "")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := numbered("deviation", "longitude deviation list", args[0])
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
		item, err := h.explain(cmd.Context(), id, reason)
		if item.ID == 0 {
			return err
		}
		if perr := a.printDecisions([]status.DecisionItem{item}); perr != nil {
			return perr
		}
		return err
	}
	return cmd
}
