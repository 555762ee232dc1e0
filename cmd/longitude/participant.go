package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"longitude/internal/status"
	"longitude/pipeline"
	"longitude/study"
	"longitude/transform"
)

func (a *app) participantCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "participant", Short: "What is known of one participant"}
	cmd.AddCommand(a.participantListCommand(), a.timelineCommand(), a.recalculateCommand(),
		a.linkCommand(), a.unlinkCommand(), a.withdrawCommand())
	return cmd
}

func (a *app) participantListCommand() *cobra.Command {
	var filter status.ParticipantFilter
	var studyName string
	cmd := &cobra.Command{
		Use: "list", Short: "List participants by code, the newest first", Args: cobra.NoArgs,
		Example: "  longitude participant list --site site-a\n  longitude participant list --status withdrawn",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(filter.Limit); err != nil {
				return err
			}
			if err := checkStatus(filter.Status); err != nil {
				return err
			}
			return a.inStudy(cmd.Context(), studyName, needReading, func(h *house, s *study.Study) error {
				filter.Study = s.Name
				items, err := h.store.Participants(cmd.Context(), filter)
				if err != nil {
					return err
				}
				var rows [][]string
				for _, p := range items {
					rows = append(rows, append([]string{p.Code, p.Site, yes(p.Enrolled), day(p.Consented), day(p.Withdrawn), p.Status}, numbers(p.Visits, p.Open, p.Held)...))
				}
				return a.print(items, []string{"participant", "site", "enrolled", "consented", "withdrawn", "status", "visits", "open", "held"}, rows)
			})
		},
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	cmd.Flags().StringVar(&filter.Site, "site", "", "only this site")
	cmd.Flags().StringVar(&filter.Status, "status", "", "only who has this status, as the source says, e.g. withdrawn")
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "at most so many")
	return cmd
}

func (a *app) timelineCommand() *cobra.Command {
	var studyName string
	cmd := &cobra.Command{
		Use: "timeline CODE", Short: "Visits with windows, verdicts, forms and deviations", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.inStudy(cmd.Context(), studyName, needReading, func(h *house, s *study.Study) error {
				t, err := h.store.Timeline(cmd.Context(), s.Name, args[0])
				if err != nil {
					return err
				}
				return a.printTimeline(t)
			})
		},
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	return cmd
}

func (a *app) printTimeline(t status.Timeline) error {
	a.progress("%s at %s · enrolled %s · consented %s · withdrawn %s%s", t.Code, t.Site, yes(t.Enrolled), day(t.Consented), day(t.Withdrawn), standing(t))
	for _, l := range t.Locks {
		a.progress("locked: %s, lock %d, %s by %s", aboutOf(&l), l.ID, l.Reason, l.By)
	}
	var rows [][]string
	for _, v := range t.Visits {
		window := ""
		if v.WindowStart != nil {
			window = day(v.WindowStart) + " … " + day(v.WindowEnd)
		}
		rows = append(rows, []string{strconv.Itoa(int(v.No)), v.Label, day(v.Due), window, day(v.Actual), v.Status, v.Timing,
			signed(v.FromTarget), signed(v.Outside), v.Protocol, forms(v.Forms), explained(t, v)})
	}
	return a.print(t, []string{"no", "visit", "due", "window", "actual", "status", "timing", "from target", "outside", "protocol", "forms", "deviations"}, rows)
}

// standing is where the source says that the participant stands; "" where it does not.
func standing(t status.Timeline) string {
	switch {
	case t.Status == "":
		return ""
	case t.StatusOn == nil:
		return " · " + t.Status
	}
	return " · " + t.Status + " since " + day(t.StatusOn)
}

// explained lists the deviations of a visit, and of each that a person explained
// the reason.
func explained(t status.Timeline, v status.TimelineVisit) string {
	var out []string
	for _, code := range v.Deviations {
		for _, d := range t.Deviations {
			if d.DeviationCode == code && d.Explanation != nil && (d.Visit == v.Type && v.Type != "" || d.Visit == strconv.Itoa(int(v.No))) {
				code += " (" + d.Explanation.Reason + ")"
				break
			}
		}
		out = append(out, code)
	}
	return strings.Join(out, " ")
}

func (a *app) recalculateCommand() *cobra.Command {
	var studyName string
	var all bool
	cmd := &cobra.Command{
		Use: "recalculate [CODE...]", Short: "Judge participants again as of today, in one audited step",
		Long:    "Reads no source: what is recorded is judged by the protocol in force. The audit log\nkeeps how they stood before and after. A deviation that still holds stays as it is.\n\n" + exitCodes,
		Example: "  longitude participant recalculate AMD-2VPFDYC4H42GZCZZRABP\n  longitude participant recalculate --all",
	}
	who := actorFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, codes []string) error {
		if all == (len(codes) > 0) {
			return &study.Error{Code: "usage.arguments", Op: "participants must be named, or --all given, and not both", Exit: study.ExitUsage,
				Hint: "write it as: longitude participant recalculate CODE..., or with --all"}
		}
		actor, err := who()
		if err != nil {
			return err
		}
		return a.inStudy(cmd.Context(), studyName, needDatabase, func(h *house, s *study.Study) error {
			return a.recalculate(cmd.Context(), h, s, codes, actor)
		})
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	cmd.Flags().BoolVar(&all, "all", false, "every participant of the study")
	return cmd
}

// recalculated is what a recalculation answers.
type recalculated struct {
	Study        string `json:"study"`
	Run          int64  `json:"run"`
	Participants int    `json:"participants"`
	Busy         bool   `json:"busy,omitempty"` // the study is judged elsewhere
}

// recalculate judges the participants of these codes again, or all.
func (a *app) recalculate(ctx context.Context, h *house, s *study.Study, codes []string, actor string) error {
	r := recalculated{Study: s.Name}
	var out pipeline.Outcome
	var err error
	if len(codes) == 0 {
		r.Participants, out, err = h.rejudge(ctx, s, actor)
	} else {
		r.Participants, out, err = h.recalculateCodes(ctx, s, codes, actor)
	}
	if err != nil {
		return err
	}
	r.Run, r.Busy = out.Run, out.Busy
	if r.Busy {
		a.progress("%s: judged elsewhere just now", s.Name)
	}
	return a.print(r, []string{"study", "run", "participants"}, [][]string{append([]string{r.Study}, numbers(r.Run, int64(r.Participants))...)})
}

// recalculateCodes judges the participants of these codes again, each once, and
// says how many those are.
func (h *house) recalculateCodes(ctx context.Context, s *study.Study, codes []string, actor string) (int, pipeline.Outcome, error) {
	var ids []int64
	for _, code := range codes {
		id, err := h.store.ParticipantByCode(ctx, s.Name, code)
		if err != nil {
			return 0, pipeline.Outcome{}, err
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	out, err := h.recalculate(ctx, s.Name, ids, actor)
	return len(ids), out, err
}

// rejudge judges everybody of a study again, and says how many that are.
func (h *house) rejudge(ctx context.Context, s *study.Study, actor string) (int, pipeline.Outcome, error) {
	everybody, err := h.store.ParticipantsOf(ctx, s.Name)
	if err != nil {
		return 0, pipeline.Outcome{}, err
	}
	today, err := h.asOf(s, "")
	if err != nil {
		return 0, pipeline.Outcome{}, err
	}
	out, err := h.ingester().Rejudge(ctx, s, transform.NewRules(s), crossChecks(s), today, actor)
	return len(everybody), out, err
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
