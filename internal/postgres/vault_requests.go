package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/internal/people"
	"longitude/internal/status"
	"longitude/study"
)

// VaultRequest asks that identities of participants be opened, or erased. Its JSON
// is what people sign: the reason, which may name somebody, by its digest.
type VaultRequest struct {
	ID           int64     `json:"request"`
	Kind         string    `json:"kind"` // open | erase
	Study        string    `json:"study"`
	Requester    string    `json:"requester"`
	Purpose      string    `json:"purpose"`
	Series       string    `json:"series,omitempty"` // of the released ids asked for; "" = participant codes
	Asked        []string  `json:"asked"`            // codes, or released ids
	Participants []int64   `json:"participants"`     // whom they stand for
	BreakGlass   bool      `json:"break_glass,omitempty"`
	ReasonSHA256 string    `json:"reason_sha256"` // of the sealed reason
	RequestedAt  time.Time `json:"requested_at"`
	ExpiresAt    time.Time `json:"expires_at"`
}

// Kinds of requests.
const (
	OpenIdentities  = "open"
	EraseIdentities = "erase"
)

// Purposes that identities may be opened for.
var VaultPurposes = []string{"safety", "query_resolution", "withdrawal", "regulator"}

// The limits of requests.
const (
	MaxVaultAsked      = 100
	VaultRequestsDaily = 3
	VaultRequestLife   = 72 * time.Hour
	BrokenGlassLife    = time.Hour
	BrokenGlassReview  = 3 * 24 * time.Hour // somebody else looks at it within
)

// Record is what is signed about a request.
func (r *VaultRequest) Record() people.Record {
	text, _ := json.Marshal(r) // strings and numbers cannot fail
	return people.Record{Type: "vault_request", ID: strconv.FormatInt(r.ID, 10), Version: "1", Study: r.Study, SHA256: sha256.Sum256(text)}
}

func (r *VaultRequest) object() string { return "vault/" + strconv.FormatInt(r.ID, 10) }

// VaultState is where a request stands.
type VaultState struct {
	VaultRequest
	State   string      `json:"state"` // pending, approved, denied, expired, started, executed
	Overdue bool        `json:"review_overdue,omitempty"`
	Steps   []VaultStep `json:"steps"`
}

// VaultStep is what somebody did about a request.
type VaultStep struct {
	Step  string    `json:"step"` // approved, denied, started, executed, expired, reviewed
	Actor string    `json:"actor"`
	At    time.Time `json:"at"`
}

// step is the step of that name, nil if it was not done.
func (s *VaultState) step(name string) *VaultStep {
	if i := slices.IndexFunc(s.Steps, func(x VaultStep) bool { return x.Step == name }); i >= 0 {
		return &s.Steps[i]
	}
	return nil
}

// judge works out the state as of now.
func (s *VaultState) judge(now time.Time) {
	s.State = "pending"
	for _, name := range []string{"approved", "denied", "expired", "started", "executed"} {
		if s.step(name) != nil {
			s.State = name
		}
	}
	if (s.State == "pending" || s.State == "approved") && !now.Before(s.ExpiresAt) {
		s.State = "expired"
	}
	s.Overdue = s.BreakGlass && s.step("reviewed") == nil && now.Sub(s.RequestedAt) > BrokenGlassReview
}

// NewVaultRequest hands out the number of a request, which its requester signs. A
// request that is never made leaves a gap.
func (s *Store) NewVaultRequest(ctx context.Context) (id int64, err error) {
	err = s.app.QueryRow(ctx, `UPDATE research.allocation SET next = next + 1 WHERE what = 'vault_request' RETURNING next - 1`).Scan(&id)
	return id, fault("number the request", err)
}

// RequestVault records a request with its sealed reason, signed by who makes it.
// Breaking the glass takes a custodian and needs nobody else until afterwards.
func (s *Store) RequestVault(ctx context.Context, r VaultRequest, reason []byte, keyVersion int, by people.Signature) error {
	roles := people.Roles
	if r.BreakGlass {
		roles = []people.Role{people.Custodian}
	}
	err := s.vaultStep(ctx, func(tx pgx.Tx, now time.Time) error {
		if err := r.check(now); err != nil {
			return err
		}
		reg, err := s.shown(r.Study)
		if err != nil {
			return err
		}
		var today int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM audit.vault_request WHERE requester = $1 AND requested_at > $2`, r.Requester, now.Add(-24*time.Hour)).Scan(&today); err != nil {
			return err
		}
		if today >= VaultRequestsDaily {
			return &study.Error{Code: "vault.rate", Op: r.Requester + " has made " + strconv.Itoa(VaultRequestsDaily) + " requests within a day", Exit: study.ExitBlocked,
				Hint: "ask for up to " + strconv.Itoa(MaxVaultAsked) + " participants at once; in an emergency another custodian may ask"}
		}
		signature, err := signedBy(ctx, tx, by, &r, r.Requester, people.Authorship, roles...)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO audit.vault_request (request_id, kind, study_id, requester, purpose, series, asked, participants, break_glass, reason_sha256, requested_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			r.ID, r.Kind, reg.id, r.Requester, r.Purpose, r.Series, r.Asked, r.Participants, r.BreakGlass, r.ReasonSHA256, r.RequestedAt, r.ExpiresAt); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO vault.request_reason (request_id, key_version, box) VALUES ($1, $2, $3)`, r.ID, keyVersion, reason); err != nil {
			return err
		}
		detail := map[string]any{"kind": r.Kind, "asked": r.Asked, "participants": len(r.Participants), "series": r.Series, "signature": signature}
		if err := record(ctx, tx, event{Action: audit.VaultRequested, Actor: r.Requester, Study: r.Study, Object: r.object(), Reason: r.Purpose, Detail: detail}); err != nil || !r.BreakGlass {
			return err
		}
		if err := addStep(ctx, tx, &r, "approved", r.Requester, now); err != nil {
			return err
		}
		return record(ctx, tx, event{Action: audit.VaultBrokeGlass, Actor: r.Requester, Study: r.Study, Object: r.object(), Reason: r.Purpose})
	})
	return s.answer(ctx, r.Requester, r.Study, r.object(), fault("record the request", err))
}

// check refuses a request that is none.
func (r *VaultRequest) check(now time.Time) error {
	life := VaultRequestLife
	if r.BreakGlass {
		life = BrokenGlassLife
	}
	refuse := func(op, hint string) error {
		return &study.Error{Code: "vault.request", Op: op, Hint: hint, Exit: study.ExitUsage}
	}
	switch {
	case !slices.Contains(VaultPurposes, r.Purpose):
		return refuse("the purpose is none of the list", "use safety, query_resolution, withdrawal or regulator")
	case len(r.Asked) == 0 || len(r.Asked) > MaxVaultAsked || len(r.Participants) == 0:
		return refuse("a request is for 1 to "+strconv.Itoa(MaxVaultAsked)+" participants", "name them, or make several requests")
	case r.BreakGlass && r.Kind == EraseIdentities:
		return refuse("nobody erases alone", "leave --break-glass out")
	case !r.ExpiresAt.Equal(r.RequestedAt.Add(life)) || r.RequestedAt.Sub(now).Abs() > people.Window:
		return refuse("the request was not made now", "make it again; check the clocks of this machine and of the database")
	}
	return nil
}

// AnswerVault records that a custodian who is not the requester approves a request,
// or denies it.
func (s *Store) AnswerVault(ctx context.Context, id int64, approve bool, by people.Signature) error {
	step, action, meaning := "denied", audit.VaultDenied, people.Rejection
	if approve {
		step, action, meaning = "approved", audit.VaultApproved, people.Approval
	}
	return s.signedStep(ctx, id, step, action, meaning, by, func(r *VaultState) error { return r.mustBe("pending") }, people.Custodian)
}

// ReviewVault records that somebody else looked at how the glass was broken.
func (s *Store) ReviewVault(ctx context.Context, id int64, by people.Signature) error {
	return s.signedStep(ctx, id, "reviewed", audit.VaultReviewed, people.Review, by, func(r *VaultState) error {
		if !r.BreakGlass || r.step("reviewed") != nil {
			return &study.Error{Code: "vault.state", Op: r.object() + " needs no review", Exit: study.ExitBlocked, Hint: "`longitude vault list` shows which do"}
		}
		return nil
	}, people.Custodian, people.Auditor)
}

// signedStep records a step that takes the signature of somebody else than the
// requester.
func (s *Store) signedStep(ctx context.Context, id int64, step string, action audit.Action, meaning people.Meaning, by people.Signature,
	may func(*VaultState) error, roles ...people.Role) error {
	said, _ := people.ReadStatement(by)
	var r VaultState
	err := s.vaultStep(ctx, func(tx pgx.Tx, now time.Time) (err error) {
		if r, err = s.readVault(ctx, tx, id, now); err == nil {
			err = may(&r)
		}
		if err != nil {
			return err
		}
		if said.Signer == r.Requester {
			return &study.Error{Code: "vault.same_person", Op: "who asked cannot answer", Exit: study.ExitBlocked, Hint: "another custodian approves, denies or reviews it"}
		}
		signature, err := signedBy(ctx, tx, by, &r.VaultRequest, said.Signer, meaning, roles...)
		if err != nil {
			return err
		}
		if err := addStep(ctx, tx, &r.VaultRequest, step, said.Signer, now); err != nil {
			return err
		}
		return record(ctx, tx, event{Action: action, Actor: said.Signer, Study: r.Study, Object: r.object(), Reason: r.Purpose, Detail: map[string]any{"signature": signature}})
	})
	return s.answer(ctx, said.Signer, r.Study, "vault/"+strconv.FormatInt(id, 10), fault("record the "+step+" request", err))
}

// StartVault spends an approved request before anything is opened or erased: its
// event is sealed when it answers. An erasure that began may be taken up again.
func (s *Store) StartVault(ctx context.Context, id int64, actor string) (r VaultState, err error) {
	err = s.vaultStep(ctx, func(tx pgx.Tx, now time.Time) (err error) {
		if r, err = s.readVault(ctx, tx, id, now); err != nil {
			return err
		}
		if r.Kind == EraseIdentities && r.State == "started" {
			return nil
		}
		if err := r.mustBe("approved"); err != nil {
			return err
		}
		step, action := "executed", audit.VaultExecuted
		if r.Kind == EraseIdentities {
			step, action = "started", audit.VaultStarted
		}
		if err := addStep(ctx, tx, &r.VaultRequest, step, actor, now); err != nil {
			return err
		}
		return record(ctx, tx, event{Action: action, Actor: actor, Study: r.Study, Object: r.object(), Reason: r.Purpose,
			Detail: map[string]any{"kind": r.Kind, "participants": len(r.Participants)}})
	})
	return r, s.answer(ctx, actor, r.Study, "vault/"+strconv.FormatInt(id, 10), fault("start the request", err))
}

func (s *VaultState) mustBe(state string) error {
	if s.State == state {
		return nil
	}
	hint := "`longitude vault show " + strconv.FormatInt(s.ID, 10) + "` shows what was done about it"
	if s.State == "expired" {
		hint = "make a new request"
	}
	return &study.Error{Code: "vault.state", Op: s.object() + " is " + s.State + ", not " + state, Hint: hint, Exit: study.ExitBlocked}
}

// signedBy records the signature of a person over a request, with the meaning that
// the step has.
func signedBy(ctx context.Context, tx pgx.Tx, by people.Signature, r *VaultRequest, who string, meaning people.Meaning, roles ...people.Role) (int64, error) {
	id, st, err := recordSignature(ctx, tx, by, r.Record(), roles...)
	if err == nil && (st.Signer != who || st.Meaning != meaning) {
		err = &study.Error{Code: "vault.signature", Op: "the signature is of somebody else, or means something else", Exit: study.ExitBlocked, Hint: "sign the request itself"}
	}
	return id, err
}

func addStep(ctx context.Context, tx pgx.Tx, r *VaultRequest, step, actor string, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO audit.vault_step (request_id, step, actor, recorded_at) VALUES ($1, $2, $3, $4)`, r.ID, step, actor, at)
	return err
}

// vaultStep runs one step, one at a time of all requests, by the clock of the
// database. What was recorded before is in the sealed log, or nothing is done; what
// has expired is recorded first.
func (s *Store) vaultStep(ctx context.Context, do func(pgx.Tx, time.Time) error) error {
	if err := s.Sealing(ctx); err != nil {
		return err
	}
	if err := s.sealed(ctx); err != nil {
		return err
	}
	if err := s.expireVault(ctx); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		now, err := vaultTurn(ctx, tx)
		if err != nil {
			return err
		}
		var waiting bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM jobs.unsealed JOIN audit.event USING (event_id) WHERE object LIKE 'vault/%')`).Scan(&waiting); err != nil {
			return err
		}
		if waiting {
			return &study.Error{Code: "vault.unsealed", Op: "the step before is not in the sealed audit log", Exit: study.ExitBlocked, Temporary: true,
				Hint: "run it again; if it stays so, `longitude audit verify` says why the log cannot be sealed"}
		}
		return do(tx, now)
	})
}

func vaultTurn(ctx context.Context, tx pgx.Tx) (now time.Time, err error) {
	err = tx.QueryRow(ctx, `SELECT clock_timestamp() FROM (SELECT pg_advisory_xact_lock(hashtext('longitude.vault'))) turn`).Scan(&now)
	return now.UTC(), err
}

// expireVault records the requests whose time is over, and seals that.
func (s *Store) expireVault(ctx context.Context) error {
	some := false
	err := pgx.BeginFunc(ctx, s.app, func(tx pgx.Tx) error {
		now, err := vaultTurn(ctx, tx)
		if err != nil {
			return err
		}
		all, err := s.vaultRequests(ctx, tx, now, `WHERE r.expires_at <= $1 AND NOT EXISTS (
			SELECT FROM audit.vault_step x WHERE x.request_id = r.request_id AND x.step IN ('denied', 'expired', 'started', 'executed'))`, now)
		if err != nil {
			return err
		}
		for i := range all {
			r := &all[i].VaultRequest
			some = true
			if err := addStep(ctx, tx, r, "expired", "system", now); err != nil {
				return err
			}
			if err := record(ctx, tx, event{Action: audit.VaultExpired, Actor: "system", Study: r.Study, Object: r.object(), Reason: r.Purpose}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && some {
		err = s.sealed(ctx)
	}
	return err
}

// VaultRequests lists requests, newest first, as of now.
func (s *Store) VaultRequests(ctx context.Context) ([]VaultState, error) {
	if err := s.expireVault(ctx); err != nil {
		return nil, fault("list the requests", err)
	}
	all, err := s.vaultRequests(ctx, s.app, time.Now(), "")
	return all, fault("list the requests", err)
}

// VaultRequest answers one request, as of now.
func (s *Store) VaultRequest(ctx context.Context, id int64) (VaultState, error) {
	if err := s.expireVault(ctx); err != nil {
		return VaultState{}, fault("read the request", err)
	}
	r, err := s.readVault(ctx, s.app, id, time.Now())
	return r, fault("read the request", err)
}

func (s *Store) readVault(ctx context.Context, q querier, id int64, now time.Time) (VaultState, error) {
	all, err := s.vaultRequests(ctx, q, now, `WHERE r.request_id = $1`, id)
	if err == nil && len(all) == 0 {
		err = status.NotFound("request " + strconv.FormatInt(id, 10))
	}
	if err != nil {
		return VaultState{VaultRequest: VaultRequest{ID: id}}, err
	}
	return all[0], nil
}

func (s *Store) vaultRequests(ctx context.Context, q querier, now time.Time, where string, args ...any) ([]VaultState, error) {
	rows, err := q.Query(ctx, `
		SELECT r.request_id, r.kind, t.name, r.requester, r.purpose, r.series, r.asked, r.participants, r.break_glass, r.reason_sha256, r.requested_at, r.expires_at,
		  coalesce((SELECT json_agg(json_build_object('step', x.step, 'actor', x.actor, 'at', x.recorded_at) ORDER BY x.recorded_at, x.step)
		    FROM audit.vault_step x WHERE x.request_id = r.request_id), '[]')
		FROM audit.vault_request r JOIN research.study t USING (study_id) `+where+` ORDER BY r.request_id DESC`, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r VaultState, err error) {
		err = row.Scan(&r.ID, &r.Kind, &r.Study, &r.Requester, &r.Purpose, &r.Series, &r.Asked, &r.Participants, &r.BreakGlass, &r.ReasonSHA256, &r.RequestedAt, &r.ExpiresAt, &r.Steps)
		r.RequestedAt, r.ExpiresAt = r.RequestedAt.UTC(), r.ExpiresAt.UTC()
		r.judge(now)
		return r, err
	})
}

// fromVault reads with the role that may read the vault and nothing else, in a
// connection of its own that ends with it.
func (s *Store) fromVault(ctx context.Context, read func(querier) error) error {
	conn, err := pgx.Connect(ctx, s.urls.Vault)
	if err != nil {
		return fault("connect as the vault", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err = conn.Exec(ctx, "SET ROLE longitude_vault"); err == nil {
		err = read(conn)
	}
	return fault("read the vault", err)
}

// RequestReason answers the sealed reason of a request, nil when it was erased with
// somebody whom the request named.
func (s *Store) RequestReason(ctx context.Context, id int64) (box []byte, err error) {
	err = s.fromVault(ctx, func(q querier) error {
		err := q.QueryRow(ctx, `SELECT box FROM vault.request_reason WHERE request_id = $1`, id).Scan(&box)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return box, err
}

// SealedIdentities answers what the vault keeps of the participants, by number.
func (s *Store) SealedIdentities(ctx context.Context, participants []int64) (map[int64][]study.SealedIdentity, error) {
	out := map[int64][]study.SealedIdentity{}
	err := s.fromVault(ctx, func(q querier) error {
		rows, err := q.Query(ctx, `
			SELECT participant_id, code, namespace, blind, box, key_version, canon FROM vault.identity WHERE participant_id = ANY($1) ORDER BY participant_id, code`, participants)
		if err != nil {
			return err
		}
		var number int64
		var blind []byte
		var id study.SealedIdentity
		_, err = pgx.ForEachRow(rows, []any{&number, &id.Code, &id.Namespace, &blind, &id.Box, &id.KeyVersion, &id.Canon}, func() error {
			id.Blind = study.Digest(blind)
			out[number] = append(out[number], id)
			return nil
		})
		return err
	})
	return out, err
}
