package main

import (
	"context"
	"crypto/sha256"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"longitude/deid"
	"longitude/internal/people"
	"longitude/internal/postgres"
	"longitude/pipeline"
	"longitude/study"
)

// Kinds of records that a release takes a signature for.
const (
	urgentType = "urgent_release"
	waiverType = "risk_waiver"
)

// mayWaive are those who may sign that a release goes out with a risk that the study
// does not allow.
var mayWaive = []people.Role{people.Custodian, people.ReleaseManager}

// urgentRecord is a planned release as what need not wait.
func urgentRecord(plan study.ReleasePlan) people.Record {
	return people.Record{Type: urgentType, ID: plan.ID, Version: "1", Study: plan.Study,
		SHA256: sha256.Sum256(deid.Frame(plan.ID, plan.AsOf.String(), strconv.FormatInt(plan.MaxBatch, 10)))}
}

// waiverRecord is the risk of a planned release.
func waiverRecord(plan study.ReleasePlan, digest study.Digest) people.Record {
	return people.Record{Type: waiverType, ID: plan.ID, Version: digest.String()[:12], Study: plan.Study, SHA256: digest}
}

// signedBy answers who approved a record by a signature that holds, as signatures
// print and with what was said; "" is nobody.
func (h *house) signedBy(ctx context.Context, r people.Record) (string, error) {
	if r.ID == "" { // of a rehearsal
		return "", nil
	}
	given, err := h.store.Signatures(ctx, postgres.SignatureFilter{RecordType: r.Type, RecordID: r.ID, Study: r.Study})
	if err != nil {
		return "", err
	}
	for i := range given {
		st, err := given[i].Verify()
		if err != nil {
			return "", err
		}
		if st.Meaning == people.Approval && st.RecordSHA256 == r.SHA256.String() {
			return st.String() + ": " + st.Text, nil
		}
	}
	return "", nil
}

// approve has a person sign a record, unless somebody has.
func (h *house) approve(ctx context.Context, p *pen, r people.Record, text string, anyOf ...people.Role) error {
	by, err := h.signedBy(ctx, r)
	if err != nil || by != "" {
		return err
	}
	sig, err := h.sign(ctx, p, people.Approval, r, text)
	if err != nil {
		return err
	}
	_, err = h.store.Sign(ctx, *sig, r, anyOf...)
	return err
}

// pinned plans the release that a build would make now, with who would build it.
func (h *house) pinned(ctx context.Context, s *study.Study, asOf study.Date) (study.ReleasePlan, *pipeline.Releaser, error) {
	if err := h.settle(ctx, s.Name, "command"); err != nil {
		return study.ReleasePlan{}, nil, err
	}
	r, err := h.releaser(ctx, s)
	if err != nil {
		return study.ReleasePlan{}, nil, err
	}
	plan, err := r.Store.PlanRelease(ctx, s.Name, asOf, r.Policy, h.now())
	return plan, r, err
}

// urge has a release manager sign that the next release need not wait.
func (h *house) urge(ctx context.Context, s *study.Study, asOf study.Date, p *pen, reason string) error {
	plan, _, err := h.pinned(ctx, s, asOf)
	if err != nil {
		return err
	}
	return h.approve(ctx, p, urgentRecord(plan), "Release "+plan.ID+" does not wait for the least interval between releases: "+reason, people.ReleaseManager)
}

func (a *app) releaseWaiveCommand() *cobra.Command {
	var asOf, studyName, reason string
	var signer *pen
	cmd := &cobra.Command{
		Use: "waive-risk", Short: "Sign that a release is published with a risk that its study does not allow", Args: cobra.NoArgs,
		Long: `Plans the release as ` + "`release build`" + ` does, lets the risk gate look, shows what does not
hold, and asks a custodian or a release manager to sign it. The signature is over the
risk that was shown: a release built on the same as-of date from the same data goes
out with it, and prints it in its risk report. If anything moves, it counts no more.

` + exitCodes,
		Example: "  longitude release waive-risk --study amd-obs-01 --reason \"the ethics committee agreed, minutes of 2 March\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(reason) == "" {
				return &study.Error{Code: "usage.reason", Op: "no reason is given", Exit: study.ExitUsage, Hint: "say with --reason why the risk is acceptable; name nobody"}
			}
			h, err := a.open(cmd.Context(), needDatabase)
			if err != nil {
				return err
			}
			defer h.close()
			s, err := h.study(studyName)
			if err != nil {
				return err
			}
			date, err := h.asOf(s, asOf)
			if err != nil {
				return err
			}
			return h.waiveRisk(cmd.Context(), s, date, signer, reason)
		},
	}
	cmd.Flags().StringVar(&studyName, "study", "", "study, where there are several")
	cmd.Flags().StringVar(&asOf, "as-of", "", "of the release judged on this date, YYYY-MM-DD (default: today at the study)")
	cmd.Flags().StringVar(&reason, "reason", "", "why the risk is acceptable (required)")
	signer = signFlags(cmd)
	return cmd
}

func (h *house) waiveRisk(ctx context.Context, s *study.Study, asOf study.Date, p *pen, reason string) error {
	plan, r, err := h.pinned(ctx, s, asOf)
	if err != nil {
		return err
	}
	var judged *book
	open := r.Book
	r.Book = func(plan study.ReleasePlan) (pipeline.Book, error) {
		b, err := open(plan)
		judged, _ = b.(*book)
		return b, err
	}
	_, err = r.RehearsePlan(ctx, plan)
	if judged == nil || judged.plan.Risk == nil {
		return err
	}
	found := judged.plan.Risk
	if len(found.Unmet) == 0 {
		if err != nil {
			return err
		}
		return &study.Error{Code: "release.no_risk", Op: "release " + plan.ID + " keeps the study's risk policy: there is nothing to waive", Exit: study.ExitUsage,
			Hint: "build it with `longitude release build`"}
	}
	text := "Release " + plan.ID + " is published although " + strings.Join(found.Unmet, "; ") + ". Reason: " + reason
	return h.approve(ctx, p, waiverRecord(plan, found.Digest), text, mayWaive...)
}
