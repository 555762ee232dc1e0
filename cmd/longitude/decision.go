package main

import (
	"context"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"longitude/internal/decision"
	"longitude/internal/keys"
	"longitude/internal/status"
	"longitude/study"
)

func (a *app) decisionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "decision", Short: "What people decided: explanations, waivers, locks, links, withdrawals"}
	cmd.AddCommand(a.decisionListCommand(), a.decisionVerifyCommand())
	return cmd
}

func (a *app) decisionListCommand() *cobra.Command {
	var f status.DecisionFilter
	cmd := &cobra.Command{
		Use: "list", Short: "List decisions, newest first", Args: cobra.NoArgs,
		Example: "  longitude decision list --kind explain --participant AMD-2VPFDYC4H42GZCZZRABP",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(f.Limit); err != nil {
				return err
			}
			if err := checkKind(f.Kind, decisionKinds...); err != nil {
				return err
			}
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				if err := h.configured(f.Study, f.Source); err != nil {
					return err
				}
				items, err := h.store.Decisions(ctx, f)
				if err != nil {
					return err
				}
				return a.printDecisions(items)
			})
		},
	}
	cmd.Flags().StringVar(&f.Study, "study", "", "only of this study")
	cmd.Flags().StringVar(&f.Participant, "participant", "", "only about this participant code")
	cmd.Flags().StringVar(&f.Source, "source", "", "only about this source")
	cmd.Flags().StringVar(&f.Kind, "kind", "", "only of this kind, e.g. explain")
	cmd.Flags().IntVar(&f.Limit, "limit", 50, "at most so many")
	return cmd
}

var decisionKinds = func() (out []string) {
	for _, kind := range []study.DecisionKind{study.Explain, study.Waive, study.LockData, study.UnlockData, study.AcceptShape, study.Link, study.Unlink, study.Withdraw} {
		out = append(out, string(kind))
	}
	return out
}()

func (a *app) decisionVerifyCommand() *cobra.Command {
	var studyName string
	cmd := &cobra.Command{
		Use: "verify", Short: "Check the signature of every decision, and that it is kept as it was signed", Args: cobra.NoArgs,
		Long: `Writes down again what each decision says, compares it with the statement that was
signed, and checks the signature with the keys of the study, those before a rotation
among them. Notes are sealed and are not read.

Exits 0 when all hold, 5 when one does not.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				if err := h.configured(studyName, ""); err != nil {
					return err
				}
				n, err := h.verifyDecisions(ctx, studyName)
				if err != nil {
					return err
				}
				return a.print(map[string]int{"decisions": n}, []string{"decisions", "state"}, [][]string{{strconv.Itoa(n), "valid"}})
			})
		},
	}
	cmd.Flags().StringVar(&studyName, "study", "", "only of this study")
	return cmd
}

// verifyDecisions answers how many decisions there are, or which is the first that
// does not hold.
func (h *house) verifyDecisions(ctx context.Context, studyName string) (int, error) {
	all, err := h.store.SignedDecisions(ctx, studyName)
	if err != nil {
		return 0, err
	}
	publics := map[string][]keys.PublicKey{}
	for i := range all {
		d := &all[i]
		if publics[d.Study] == nil {
			if publics[d.Study], err = h.ring.Publics(d.Study); err != nil {
				return 0, err
			}
		}
		if !slices.ContainsFunc(publics[d.Study], func(k keys.PublicKey) bool { return k.ID == d.SignedBy && decision.VerifyStored(d, k.Public) }) {
			return 0, &study.Error{Code: "decision.tampered", Op: "decision " + strconv.FormatInt(d.ID, 10) + " is not as it was signed", Exit: study.ExitBlocked,
				Hint: "the database was changed: keep it as evidence, and run `longitude audit verify`"}
		}
	}
	return len(all), nil
}
