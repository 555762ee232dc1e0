package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longitude/deid"
	"longitude/internal/decision"
	"longitude/internal/status"
	"longitude/pipeline"
	"longitude/study"
	"longitude/transform"
)

// whoever is the person at this command line, as the system knows them.
func whoever() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", &study.Error{Code: "usage.actor", Op: "the system does not say who runs this", Exit: study.ExitEnvironment,
			Hint: "run as a user who has a name, or name one with --actor where the command takes it"}
	}
	return u.Username, decision.CheckActor(u.Username)
}

// actorFlag adds --actor; what it answers is who acts.
func actorFlag(cmd *cobra.Command) func() (string, error) {
	var actor string
	cmd.Flags().StringVar(&actor, "actor", "", "who decides (default: the user who runs this)")
	return func() (string, error) {
		if actor == "" {
			return whoever()
		}
		return actor, decision.CheckActor(actor)
	}
}

// whyFlags adds --reason, --note and --actor; what it answers reads them.
func whyFlags(cmd *cobra.Command, otherwise string) func() (decision.Why, error) {
	var why decision.Why
	cmd.Flags().StringVar(&why.Reason, "reason", otherwise, "why, one of: "+decision.Codes())
	cmd.Flags().StringVar(&why.Note, "note", "", "own words, which are sealed; - reads them from standard input")
	who := actorFlag(cmd)
	return func() (decision.Why, error) {
		var err error
		if why.Actor, err = who(); err != nil {
			return why, err
		}
		if why.Note == "-" {
			text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 1<<20))
			if err != nil {
				return why, &study.Error{Code: "usage.note", Op: "the note cannot be read from standard input", Exit: study.ExitUsage,
					Hint: "give it with --note, or pipe it in"}
			}
			why.Note = strings.TrimSpace(string(text))
		}
		return why, why.Check()
	}
}

// decide signs and records a decision, and answers it as it is listed.
func (h *house) decide(ctx context.Context, d study.Decision, why decision.Why) (status.DecisionItem, error) {
	if err := why.Check(); err != nil {
		return status.DecisionItem{}, err
	}
	d.Reason, d.Actor, d.At = why.Reason, why.Actor, h.now().UTC().Truncate(time.Microsecond) // as the database keeps it
	if why.Note != "" {
		box, err := deid.SealNote(h.ring, d.Study, decision.About(&d), why.Note, rand.Reader)
		if err != nil {
			return status.DecisionItem{}, err
		}
		d.Note, d.KeyVersion = box, deid.BoxVersion(box)
	}
	keyID, key, err := h.ring.Signer(d.Study)
	if err == nil {
		err = decision.Sign(&d, keyID, key)
	}
	if err != nil {
		return status.DecisionItem{}, err
	}
	id, err := h.store.Decide(ctx, d)
	if err != nil {
		return status.DecisionItem{}, err
	}
	return h.decided(ctx, d.Kind, id)
}

// decided answers one decision by its number.
func (h *house) decided(ctx context.Context, kind study.DecisionKind, id int64) (status.DecisionItem, error) {
	items, err := h.store.Decisions(ctx, status.DecisionFilter{Kind: string(kind), Page: status.Page{Limit: 1, After: id + 1}})
	if err == nil && (len(items) == 0 || items[0].ID != id) {
		err = status.NotFound(fmt.Sprintf("%s %d", kind, id))
	}
	if err != nil {
		return status.DecisionItem{}, err
	}
	return items[0], nil
}

// explain records the reason of a deviation and judges its participant by it.
func (h *house) explain(ctx context.Context, deviation int64, why decision.Why) (status.DecisionItem, error) {
	name, participant, d, err := h.store.DeviationByID(ctx, deviation)
	if err != nil {
		return status.DecisionItem{}, err
	}
	item, err := h.decide(ctx, study.Decision{Kind: study.Explain, Study: name, Participant: participant, Deviation: d.DeviationKey, Evidence: d.Evidence}, why)
	if err != nil {
		return item, err
	}
	_, err = h.recalculate(ctx, name, []int64{participant}, why.Actor)
	return item, err
}

// waive records that a quarantined row is not wanted.
func (h *house) waive(ctx context.Context, row int64, why decision.Why) (status.DecisionItem, error) {
	q, err := h.store.QuarantinedRow(ctx, row)
	if err != nil {
		return status.DecisionItem{}, err
	}
	return h.decide(ctx, study.Decision{Kind: study.Waive, Study: q.Study, Source: q.Source, Quarantine: row}, why)
}

// lock forbids changes to a study, a visit type of it, or one participant. Where
// that is forbidden already it answers the lock that does.
func (h *house) lock(ctx context.Context, studyName, visit, code string, why decision.Why) (status.DecisionItem, error) {
	d := study.Decision{Kind: study.LockData, Study: studyName, Visit: visit}
	if code != "" {
		var err error
		if d.Participant, err = h.store.ParticipantByCode(ctx, studyName, code); err != nil {
			return status.DecisionItem{}, err
		}
	}
	if err := why.Check(); err != nil {
		return status.DecisionItem{}, err
	}
	before, there, err := h.store.LockOn(ctx, d)
	if err != nil || there {
		return before, err
	}
	item, err := h.decide(ctx, d, why)
	if err != nil && codeOf(err) == "decision.repeated" { // by somebody at the same moment
		if before, there, lerr := h.store.LockOn(ctx, d); lerr != nil || there {
			return before, lerr
		}
	}
	return item, err
}

// unlock lifts a lock. What it held back is for replayLocked to read again.
func (h *house) unlock(ctx context.Context, id int64, why decision.Why) (status.DecisionItem, error) {
	lock, err := h.decided(ctx, study.LockData, id)
	if err != nil {
		return status.DecisionItem{}, err
	}
	return h.decide(ctx, study.Decision{Kind: study.UnlockData, Study: lock.Study, Lifts: id}, why)
}

// recalculate judges some participants again as of today.
func (h *house) recalculate(ctx context.Context, studyName string, participants []int64, actor string) (pipeline.Outcome, error) {
	s, err := h.study(studyName)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	today, err := h.asOf(s, "")
	if err != nil {
		return pipeline.Outcome{}, err
	}
	return h.ingester().Recalculate(ctx, s, transform.NewRules(s), crossChecks(s), today, participants, actor)
}

// printDecisions prints what was recorded.
func (a *app) printDecisions(items []status.DecisionItem) error {
	var rows [][]string
	for _, d := range items {
		rows = append(rows, []string{strconv.FormatInt(d.ID, 10), d.Kind, d.Study, aboutOf(&d), d.Reason, d.By, when(&d.At), d.SignedBy})
	}
	return a.print(items, []string{"decision", "kind", "study", "about", "reason", "by", "at", "signed with"}, rows)
}

// aboutOf says in words what a decision is about.
func aboutOf(d *status.DecisionItem) string {
	switch study.DecisionKind(d.Kind) {
	case study.Explain:
		return strings.Join(strings.Fields(d.DeviationCode+" of "+d.Code+" "+d.Visit+" "+d.Detail), " ")
	case study.Waive:
		return "quarantined row " + strconv.FormatInt(d.Quarantined, 10)
	case study.UnlockData:
		return "lock " + strconv.FormatInt(d.Lifts, 10)
	case study.AcceptShape:
		return "source " + d.Source
	}
	switch {
	case d.Code != "":
		return "participant " + d.Code
	case d.Visit != "":
		return "visit type " + d.Visit
	}
	return "the whole study"
}

// numbered reads the number of a thing that noun names and list shows.
func numbered(noun, list, text string) (int64, error) {
	n, ok := number(text)
	if !ok {
		return 0, &study.Error{Code: "usage.number", Op: "a " + noun + " is named by its number", Exit: study.ExitUsage, Hint: "`" + list + "` shows them"}
	}
	return n, nil
}
