package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"longitude/internal/status"
	"longitude/study"
)

func (a *app) historyCommand() *cobra.Command {
	var f status.HistoryFilter
	var studyName string
	cmd := &cobra.Command{
		Use: "history CODE", Short: "What became of a participant's records: who, when, what and why", Args: cobra.ExactArgs(1),
		Long: `Lists each field of each version that differs from the version before, as the source
gave it (when, and whether it said who and why) and as it was received (when, by which
run, in which batch and row). Authors and reasons are sealed: only that they are
recorded is shown. Of sealed fields it shows that they changed, of blinded ones nothing.

` + exitCodes,
		Example: "  longitude history AMD-2VPFDYC4H42GZCZZRABP\n  longitude history AMD-2VPFDYC4H42GZCZZRABP --form visual_acuity --field va --visit month_1",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.inStudy(cmd.Context(), studyName, needReading, func(h *house, s *study.Study) error {
				history, err := h.store.RecordHistory(cmd.Context(), s.Name, args[0], f)
				if err != nil {
					return err
				}
				return a.printHistory(&history)
			})
		},
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	cmd.Flags().StringVar(&f.Form, "form", "", "only this form")
	cmd.Flags().StringVar(&f.Field, "field", "", "only this field")
	cmd.Flags().StringVar(&f.Visit, "visit", "", "only this visit, by type or number")
	return cmd
}

func (a *app) printHistory(h *status.RecordHistory) error {
	var rows [][]string
	for _, c := range h.Changes {
		visit := c.Visit
		if visit == "" && c.VisitNo != 0 {
			visit = strconv.Itoa(int(c.VisitNo))
		}
		rows = append(rows, []string{when(&c.Received), c.What, visit, c.Form, c.Occurrence, strconv.Itoa(int(c.Version)), c.Field,
			shown(c.Before, c.BeforeMissing, c.Sealed), shown(c.After, c.AfterMissing, c.Sealed), said(c.Modified), c.Author, c.Reason,
			c.Source, strconv.FormatInt(c.Batch, 10), strconv.FormatInt(c.Row, 10), strconv.FormatInt(c.Run, 10)})
	}
	return a.print(h, []string{"received", "what", "visit", "form", "occurrence", "version", "field", "before", "after", "modified", "author", "reason",
		"source", "batch", "row", "run"}, rows)
}

// shown is a value, or in parentheses why there is none.
func shown(value *string, missing string, sealed bool) string {
	switch {
	case sealed:
		return "(sealed)"
	case value != nil:
		return *value
	case missing != "":
		return "(" + missing + ")"
	}
	return ""
}

// said is when the source says that something was; "" = it does not.
func said(t *time.Time) string {
	if t == nil {
		return ""
	}
	return when(t)
}
