package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longitude/deid"
	"longitude/internal/people"
	"longitude/internal/postgres"
	"longitude/study"
)

func (a *app) vaultCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "vault", Short: "Who is behind a code: ask, approve, open once",
		Long: `Somebody asks with a purpose and a reason; a custodian who is somebody else approves or
denies; the request is then run once, and its result can be read by the requester only.
Requests expire after 72 hours. Each step is signed, and in the sealed audit log before
the next. Erasures (` + "`longitude participant withdraw CODE --erase`" + `) take the same way.

` + exitCodes}
	cmd.AddCommand(a.vaultRequestCommand(), a.vaultAnswerCommand("approve REQUEST", "Agree to a request that somebody else made", people.Approval),
		a.vaultAnswerCommand("deny REQUEST", "Refuse a request that somebody else made", people.Rejection),
		a.vaultRunCommand(), a.vaultReadCommand(), a.vaultReviewCommand(), a.vaultListCommand(), a.vaultShowCommand())
	return cmd
}

// asking is what is asked of the vault at the command line.
type asking struct {
	study, purpose, reason, series string
	participants, tokens           []string
	alone                          bool
}

func (a *app) vaultRequestCommand() *cobra.Command {
	var q asking
	cmd := &cobra.Command{
		Use: "request", Short: "Ask who is behind participant codes or released ids", Args: cobra.NoArgs,
		Long: `Asks for up to 100 participants, by code or by the ids that a release series gave them.
The reason is sealed. A custodian other than you answers within 72 hours; a person makes
at most three requests a day. --break-glass is for emergencies: a custodian may run the
request alone, within one hour, and somebody else reviews it within three days.

` + exitCodes,
		Example: "  longitude vault request --participants AMD-2VPFDYC4H42GZCZZRABP --purpose safety --reason 'serious event at site 2' --as nora",
	}
	signer := signFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.inStudy(cmd.Context(), q.study, needReading, func(h *house, s *study.Study) error {
			r, err := h.asked(cmd.Context(), s, &q)
			if err != nil {
				return err
			}
			return h.request(cmd.Context(), signer, r, q.reason)
		})
	}
	cmd.Flags().StringVar(&q.study, "study", "", "the study, where there are several")
	cmd.Flags().StringSliceVar(&q.participants, "participants", nil, "participant codes")
	cmd.Flags().StringSliceVar(&q.tokens, "tokens", nil, "participant ids as released")
	cmd.Flags().StringVar(&q.series, "series", "", "release series of the ids (default: the one that is open)")
	cmd.Flags().StringVar(&q.purpose, "purpose", "", "one of: "+strings.Join(postgres.VaultPurposes, ", "))
	cmd.Flags().StringVar(&q.reason, "reason", "", "why, in own words, which are sealed")
	cmd.Flags().BoolVar(&q.alone, "break-glass", false, "without a second person, in an emergency")
	return cmd
}

// asked finds the participants that are asked for.
func (h *house) asked(ctx context.Context, s *study.Study, q *asking) (*postgres.VaultRequest, error) {
	if (len(q.participants) == 0) == (len(q.tokens) == 0) {
		return nil, &study.Error{Code: "usage.arguments", Op: "name either --participants or --tokens", Exit: study.ExitUsage, Hint: "codes are those of `longitude participant list`, tokens those of a release"}
	}
	r := &postgres.VaultRequest{Kind: postgres.OpenIdentities, Study: s.Name, Purpose: q.purpose, BreakGlass: q.alone}
	if len(q.tokens) > 0 {
		var err error
		r.Asked = q.tokens
		r.Series, r.Participants, err = h.behind(ctx, s, q.series, q.tokens)
		return r, err
	}
	r.Asked = q.participants
	for _, code := range q.participants {
		id, err := h.store.ParticipantByCode(ctx, s.Name, code)
		if err != nil {
			return nil, err
		}
		r.Participants = append(r.Participants, id)
	}
	return r, nil
}

// behind finds the participants whose released ids in a series these are, by making
// the ids of all participants again.
func (h *house) behind(ctx context.Context, s *study.Study, name string, tokens []string) (string, []int64, error) {
	all, err := h.store.SeriesOf(ctx, s.Name)
	if err != nil {
		return "", nil, err
	}
	i := slices.IndexFunc(all, func(x postgres.Series) bool { return x.Name == name || name == "" && x.State == postgres.SeriesOpen })
	if i < 0 {
		return "", nil, &study.Error{Code: "series.unknown", Op: "study " + s.Name + " has no such release series", Exit: study.ExitUsage, Hint: "`longitude series list` shows them"}
	}
	recipient, err := h.recipient(s, all[i])
	if err != nil {
		return "", nil, err
	}
	everybody, err := h.store.CodesOf(ctx, s.Name)
	if err != nil {
		return "", nil, err
	}
	number := make(map[string]int64, len(everybody))
	for _, p := range everybody {
		number[recipient.Participant(p.Code)] = p.ID
	}
	var found []int64
	for _, token := range tokens {
		if id, known := number[token]; known {
			found = append(found, id)
			continue
		}
		return "", nil, &study.Error{Code: "vault.unknown_id", Op: "an id is not one that series " + all[i].Name + " gave to a participant", Exit: study.ExitUsage,
			Hint: "take ids from the table participants of a release of that series"}
	}
	return all[i].Name, found, nil
}

// request numbers, signs and records a request, with all participants that are the
// same person.
func (h *house) request(ctx context.Context, signer *pen, r *postgres.VaultRequest, reason string) error {
	if strings.TrimSpace(reason) == "" || len(reason) > 2000 {
		return &study.Error{Code: "vault.reason", Op: "a request says why, in up to 2000 bytes", Exit: study.ExitUsage, Hint: "say it with --reason; it is sealed"}
	}
	who, err := signer.who(ctx, h)
	if err != nil {
		return err
	}
	if r.Participants, err = h.store.SamePerson(ctx, r.Participants); err != nil {
		return err
	}
	if r.ID, err = h.store.NewVaultRequest(ctx); err != nil {
		return err
	}
	box, err := deid.SealNote(h.ring, r.Study, "vault/"+strconv.FormatInt(r.ID, 10), reason, rand.Reader)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(box)
	r.Requester, r.ReasonSHA256 = who.ID, hex.EncodeToString(sum[:])
	r.RequestedAt = h.now().UTC().Truncate(time.Microsecond) // as the database keeps it
	r.ExpiresAt = r.RequestedAt.Add(postgres.VaultRequestLife)
	if r.BreakGlass {
		r.ExpiresAt = r.RequestedAt.Add(postgres.BrokenGlassLife)
	}
	sig, err := h.sign(ctx, signer, people.Authorship, r.Record(), "I ask "+inWords(r)+".")
	if err != nil {
		return err
	}
	if err := h.store.RequestVault(ctx, *r, box, deid.BoxVersion(box), *sig); err != nil {
		return err
	}
	return h.showRequest(ctx, r.ID)
}

// inWords says what a request asks for.
func inWords(r *postgres.VaultRequest) string {
	what := "to open the identities of "
	if r.Kind == postgres.EraseIdentities {
		what = "to erase for good all that leads to "
	}
	if r.BreakGlass {
		what = "alone, in an emergency, " + what
	}
	return what + plural(len(r.Asked), "participant") + " of study " + r.Study + " for " + strings.ReplaceAll(r.Purpose, "_", " ")
}

func (a *app) vaultAnswerCommand(use, short string, meaning people.Meaning) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1)}
	signer := signFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withRequest(cmd, args[0], func(ctx context.Context, h *house, r *postgres.VaultState) error {
			verb := "I agree that it was right "
			switch meaning {
			case people.Approval:
				verb = "I agree "
			case people.Rejection:
				verb = "I refuse "
			}
			sig, err := h.sign(ctx, signer, meaning, r.Record(), verb+inWords(&r.VaultRequest)+", as "+r.Requester+" asks.")
			if err != nil {
				return err
			}
			if meaning == people.Review {
				err = h.store.ReviewVault(ctx, r.ID, *sig)
			} else {
				err = h.store.AnswerVault(ctx, r.ID, meaning == people.Approval, *sig)
			}
			if err != nil {
				return err
			}
			return h.showRequest(ctx, r.ID)
		})
	}
	return cmd
}

func (a *app) vaultReviewCommand() *cobra.Command {
	return a.vaultAnswerCommand("review REQUEST", "Look at a request that was run in an emergency, and sign that", people.Review)
}

// withRequest runs do with a request.
func (a *app) withRequest(cmd *cobra.Command, number string, do func(context.Context, *house, *postgres.VaultState) error) error {
	id, err := numbered("request", "longitude vault list", number)
	if err != nil {
		return err
	}
	return a.withAudit(cmd, func(ctx context.Context, h *house) error {
		r, err := h.store.VaultRequest(ctx, id)
		if err != nil {
			return err
		}
		return do(ctx, h, &r)
	})
}

func (a *app) vaultListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List requests, newest first, and where each stands", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				all, err := h.store.VaultRequests(ctx)
				if err != nil {
					return err
				}
				return a.printRequests(all)
			})
		},
	}
}

func (a *app) printRequests(all []postgres.VaultState) error {
	var rows [][]string
	shown := slices.Clone(all)
	for i := range all {
		r := &all[i]
		shown[i].Participants = withWhom(r)
		rows = append(rows, []string{strconv.FormatInt(r.ID, 10), r.Kind, r.Study, r.Requester, r.Purpose, strconv.Itoa(len(r.Participants)), standingOf(r),
			when(&r.RequestedAt), when(&r.ExpiresAt)})
	}
	return a.print(shown, []string{"request", "kind", "study", "requester", "purpose", "participants", "state", "requested", "expires"}, rows)
}

// withWhom are the numbers of the participants that a request may be shown with. Whom a
// released id stands for is what is asked: only the requester reads that.
func withWhom(r *postgres.VaultState) []int64 {
	if r.Series != "" {
		return nil
	}
	return r.Participants
}

func standingOf(r *postgres.VaultState) string {
	if r.Overdue {
		return r.State + ", review overdue"
	}
	return r.State
}

func (a *app) vaultShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show REQUEST", Short: "A request with its reason and what was done about it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRequest(cmd, args[0], func(ctx context.Context, h *house, r *postgres.VaultState) error {
				return h.printRequest(ctx, r)
			})
		},
	}
}

func (h *house) showRequest(ctx context.Context, id int64) error {
	r, err := h.store.VaultRequest(ctx, id)
	if err != nil {
		return err
	}
	return h.a.printRequests([]postgres.VaultState{r})
}

// printRequest shows a request with its reason, which is for who answers it: that it
// was looked at is an event.
func (h *house) printRequest(ctx context.Context, r *postgres.VaultState) error {
	who, err := whoever()
	if err != nil {
		return err
	}
	object := "vault/" + strconv.FormatInt(r.ID, 10)
	if err := h.store.Viewed(ctx, who, r.Purpose, r.Study, object, map[string]any{"what": "reason"}); err != nil {
		return err
	}
	box, err := h.store.RequestReason(ctx, r.ID)
	if err != nil {
		return err
	}
	reason := "(erased)"
	if box != nil {
		if reason, err = deid.OpenNote(h.ring, r.Study, object, box); err != nil {
			return err
		}
	}
	rows := [][]string{{"asks", inWords(&r.VaultRequest)}, {"who", r.Requester}, {"reason", reason}, {"for", strings.Join(r.Asked, " ")}, {"state", standingOf(r)}, {"expires", when(&r.ExpiresAt)}}
	for _, step := range r.Steps {
		rows = append(rows, []string{step.Step, fmt.Sprintf("by %s, %s", step.Actor, when(&step.At))})
	}
	shown := *r
	shown.Participants = withWhom(r)
	value := struct {
		*postgres.VaultState
		Reason string `json:"reason"`
	}{&shown, reason}
	return h.a.print(value, []string{"request " + strconv.FormatInt(r.ID, 10), ""}, rows)
}
