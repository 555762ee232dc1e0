package main

import (
	"context"

	"github.com/spf13/cobra"

	"longitude/deid"
	"longitude/internal/decision"
	"longitude/internal/postgres"
	"longitude/internal/status"
	"longitude/study"
)

func (a *app) linkCommand() *cobra.Command {
	var studyName, first string
	cmd := &cobra.Command{
		Use: "link CODE", Short: "Say that a participant is the same person as another", Args: cobra.ExactArgs(1),
		Long: `From then on what the identifiers of CODE bring belongs to the participant of --same-as,
who keeps their code; what they brought before is read again. The link is signed with the
study's key, and ` + "`longitude participant unlink`" + ` takes it back.

` + exitCodes,
		Example: "  longitude participant link AMD-2VPFDYC4H42GZCZZRABP --same-as AMD-7K2MPW0C9QX3ZT4E8RBD --reason data_entry",
	}
	why := whyFlags(cmd, "")
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	cmd.Flags().StringVar(&first, "same-as", "", "code of the participant who stays (required)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		reason, err := why()
		if err != nil {
			return err
		}
		return a.inStudy(cmd.Context(), studyName, needDatabase, func(h *house, s *study.Study) error {
			return h.link(cmd.Context(), s, args[0], first, reason)
		})
	}
	return cmd
}

func (h *house) link(ctx context.Context, s *study.Study, code, first string, why decision.Why) error {
	from, _, _, err := h.store.ParticipantLink(ctx, s.Name, code)
	if err != nil {
		return err
	}
	to, _, _, err := h.store.ParticipantLink(ctx, s.Name, first)
	if err != nil {
		return err
	}
	item, err := h.decide(ctx, study.Decision{Kind: study.Link, Study: s.Name, Participant: from, SameAs: to}, why)
	if err != nil {
		return err
	}
	return h.readAgain(ctx, s, item, from, to)
}

func (a *app) unlinkCommand() *cobra.Command {
	var studyName string
	cmd := &cobra.Command{Use: "unlink CODE", Short: "Take back that a participant is the same person as another", Args: cobra.ExactArgs(1),
		Long: "What the identifiers of CODE brought is read again and belongs to that participant.\n\n" + exitCodes}
	why := whyFlags(cmd, "correction")
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		reason, err := why()
		if err != nil {
			return err
		}
		return a.inStudy(cmd.Context(), studyName, needDatabase, func(h *house, s *study.Study) error {
			from, to, link, err := h.store.ParticipantLink(cmd.Context(), s.Name, args[0])
			if err != nil {
				return err
			}
			if link == 0 {
				return &study.Error{Code: "decision.link", Op: "the participant is linked to nobody", Exit: study.ExitBlocked, Hint: "name the code that was linked, not the one that stayed"}
			}
			item, err := h.decide(cmd.Context(), study.Decision{Kind: study.Unlink, Study: s.Name, Participant: from, Lifts: link}, reason)
			if err != nil {
				return err
			}
			return h.readAgain(cmd.Context(), s, item, from, to)
		})
	}
	return cmd
}

// readAgain reads again whatever said something of the participants, after a decision
// about who they are, and judges them by it.
func (h *house) readAgain(ctx context.Context, s *study.Study, item status.DecisionItem, participants ...int64) error {
	if err := h.a.printDecisions([]status.DecisionItem{item}); err != nil {
		return err
	}
	objects, err := h.store.ObjectsOf(ctx, participants)
	if err != nil {
		return err
	}
	results, failure := h.replayed(ctx, objects, "command", h.a.report)
	for _, r := range results {
		h.a.progress("%s: %s", r.Source, describe(r.Counts))
	}
	if _, err := h.recalculate(ctx, s.Name, participants, item.By); err != nil && failure == nil {
		failure = err
	}
	if failure != nil {
		h.a.progress("it is recorded; `longitude replay SOURCE --all` reads again what could not be read now")
		return exitWith(exitCode(failure))
	}
	return nil
}

// leaving is how a participant withdraws.
type leaving struct {
	from        string
	stop, erase bool
	reason      string
}

func (a *app) withdrawCommand() *cobra.Command {
	var studyName string
	var l leaving
	cmd := &cobra.Command{
		Use: "withdraw CODE", Short: "Take a participant out of releases, or erase them", Args: cobra.ExactArgs(1),
		Long: `--from next  releases that are built from now on leave the participant out.
--stop-use   the same, and the participant is locked: what still arrives waits in quarantine.
--erase      asks for an erasure: once a custodian who is somebody else approves, ` + "`longitude\n             vault run`" + ` deletes all that leads to the person, in vault, quarantine and landing,
             and nothing of them is taken any more. Only of studies with random codes.

Releases that are published stay as they are.

` + exitCodes,
		Example: "  longitude participant withdraw AMD-2VPFDYC4H42GZCZZRABP --from next\n  longitude participant withdraw AMD-2VPFDYC4H42GZCZZRABP --erase --why 'letter of 3 May' --as nora",
	}
	why := whyFlags(cmd, "participant_request")
	signer := signFlags(cmd)
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	cmd.Flags().StringVar(&l.from, "from", "", "next: from the next release on")
	cmd.Flags().BoolVar(&l.stop, "stop-use", false, "out of releases, and nothing new is taken")
	cmd.Flags().BoolVar(&l.erase, "erase", false, "ask for the erasure of all that leads to the person")
	cmd.Flags().StringVar(&l.reason, "why", "", "of an erasure: why, in own words, which are sealed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		reason, err := why()
		if err != nil {
			return err
		}
		if err := l.check(); err != nil {
			return err
		}
		return a.inStudy(cmd.Context(), studyName, needDatabase, func(h *house, s *study.Study) error {
			if l.erase {
				return h.askErasure(cmd.Context(), s, args[0], signer, l.reason)
			}
			return h.withdraw(cmd.Context(), s, args[0], l.stop, reason)
		})
	}
	return cmd
}

func (l *leaving) check() error {
	ways := 0
	for _, way := range []bool{l.from == "next", l.stop, l.erase} {
		if way {
			ways++
		}
	}
	if ways == 1 && (l.from == "" || l.from == "next") {
		return nil
	}
	return &study.Error{Code: "usage.arguments", Op: "name one way to withdraw", Exit: study.ExitUsage, Hint: "use --from next, --stop-use or --erase"}
}

// withdraw records a withdrawal from releases, and judges the participant once more
// so that the next release is planned on it.
func (h *house) withdraw(ctx context.Context, s *study.Study, code string, stop bool, why decision.Why) error {
	id, err := h.store.ParticipantByCode(ctx, s.Name, code)
	if err != nil {
		return err
	}
	item, err := h.decide(ctx, study.Decision{Kind: study.Withdraw, Study: s.Name, Participant: id, Deviation: study.DeviationKey{Detail: study.FutureUse}}, why)
	if err != nil {
		return err
	}
	done := []status.DecisionItem{item}
	if stop {
		if item, err = h.lock(ctx, s.Name, "", code, why); err != nil {
			return err
		}
		done = append(done, item)
	}
	if _, err := h.recalculate(ctx, s.Name, []int64{id}, why.Actor); err != nil {
		return err
	}
	return h.a.printDecisions(done)
}

// askErasure asks for an erasure. Derived codes can be made again by whoever has the
// key and the identifier: of such a study nobody can be erased.
func (h *house) askErasure(ctx context.Context, s *study.Study, code string, signer *pen, reason string) error {
	if s.Deid.Pseudonym != deid.Random {
		return &study.Error{Code: "vault.derived", Exit: study.ExitBlocked,
			Op:   "study " + s.Name + " derives its codes from identifiers: whoever has the key and an identifier can make the code again, so nobody can be erased",
			Hint: "use --stop-use; studies that set pseudonym: random from their beginning can erase"}
	}
	id, err := h.store.ParticipantByCode(ctx, s.Name, code)
	if err != nil {
		return err
	}
	return h.request(ctx, signer, &postgres.VaultRequest{Kind: postgres.EraseIdentities, Study: s.Name, Purpose: "withdrawal", Asked: []string{code}, Participants: []int64{id}}, reason)
}
