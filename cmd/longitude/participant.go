package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"longitude/internal/status"
)

func (a *app) participantCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "participant", Short: "What is known of one participant"}
	cmd.AddCommand(a.timelineCommand())
	return cmd
}

func (a *app) timelineCommand() *cobra.Command {
	var studyName string
	cmd := &cobra.Command{
		Use: "timeline CODE", Short: "Visits with windows, verdicts, forms and deviations", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open(cmd.Context(), needDatabase)
			if err != nil {
				return err
			}
			defer h.close()
			s, err := h.study(studyName)
			if err != nil {
				return err
			}
			t, err := h.store.Timeline(cmd.Context(), s.Name, args[0])
			if err != nil {
				return err
			}
			return a.printTimeline(t)
		},
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	return cmd
}

func (a *app) printTimeline(t status.Timeline) error {
	a.progress("%s at %s · enrolled %s · consented %s · withdrawn %s", t.Code, t.Site, yes(t.Enrolled), day(t.Consented), day(t.Withdrawn))
	var rows [][]string
	for _, v := range t.Visits {
		window := ""
		if v.WindowStart != nil {
			window = day(v.WindowStart) + " … " + day(v.WindowEnd)
		}
		rows = append(rows, []string{strconv.Itoa(int(v.No)), v.Label, day(v.Due), window, day(v.Actual), v.Status, v.Timing,
			signed(v.FromTarget), signed(v.Outside), forms(v.Forms), strings.Join(v.Deviations, " ")})
	}
	return a.print(t, []string{"no", "visit", "due", "window", "actual", "status", "timing", "from target", "outside", "forms", "deviations"}, rows)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// day shows a calendar date, or in a relative calendar the day.
func day(d *status.Day) string {
	switch {
	case d == nil:
		return "-"
	case d.Date != "":
		return d.Date
	case d.Day != nil:
		return "day " + strconv.Itoa(*d.Day)
	}
	return "-"
}

func signed(n *int) string {
	if n == nil {
		return ""
	}
	return fmt.Sprintf("%+d", *n)
}

// forms lists a visit's forms: ✓ present, ✗ missing, ‖ held.
func forms(badges []status.FormBadge) string {
	marks := map[string]string{status.FormPresent: "✓", status.FormMissing: "✗", status.FormHeld: "‖"}
	var out []string
	for _, b := range badges {
		name := b.Form
		if b.Occurrence != "" && b.Occurrence != "1" {
			name += "/" + b.Occurrence
		}
		out = append(out, marks[b.State]+name)
	}
	return strings.Join(out, " ")
}
