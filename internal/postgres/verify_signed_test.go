package postgres

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"longitude/internal/audit"
	"longitude/internal/people"
)

// The application's login can delete a payload behind an event that it makes up; and
// whoever may change the database can do it without. That nobody entitled signed for
// it is found, before the event has its place and after.
func TestRedactionsThatNobodySigned(t *testing.T) {
	mia, cleo := newcomer(t, "mia", people.DataManager), newcomer(t, "cleo", people.Custodian)
	for name, forge := range map[string]func(s *Store, tx pgx.Tx, target int64) (actor string, signature any, err error){
		"no signature": func(*Store, pgx.Tx, int64) (string, any, error) { return "cleo", nil, nil },
		"a signature that is none": func(*Store, pgx.Tx, int64) (string, any, error) {
			return "cleo", 99, nil
		},
		"a signature for another reason": func(s *Store, tx pgx.Tx, target int64) (string, any, error) {
			r, err := redaction(t.Context(), tx, target, "correction")
			if err != nil {
				return "", nil, err
			}
			id, _, err := recordSignature(t.Context(), tx, *cleo.signs(t, people.Responsibility, r, 0), r, people.Custodian)
			return "cleo", id, err
		},
		"a signature by somebody without the role": func(s *Store, tx pgx.Tx, target int64) (string, any, error) {
			r, err := redaction(t.Context(), tx, target, "other")
			if err != nil {
				return "", nil, err
			}
			id, _, err := recordSignature(t.Context(), tx, *mia.signs(t, people.Responsibility, r, 0), r, people.DataManager)
			return "mia", id, err
		},
		"somebody else's signature": func(s *Store, tx pgx.Tx, target int64) (string, any, error) {
			r, err := redaction(t.Context(), tx, target, "other")
			if err != nil {
				return "", nil, err
			}
			id, _, err := recordSignature(t.Context(), tx, *cleo.signs(t, people.Responsibility, r, 0), r, people.Custodian)
			return "ada", id, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := staffed(t, mia, cleo)
			if err := s.Apply(t.Context(), []Document{{Kind: "source", Name: "a"}}, "plan", "additive", "dm", "words"); err != nil {
				t.Fatal(err)
			}
			seal(t, s)
			target := one[int64](t, s, `SELECT event_id FROM audit.payload`)
			if err := pgx.BeginFunc(t.Context(), s.app, func(tx pgx.Tx) error {
				actor, signature, err := forge(s, tx, target)
				if err != nil {
					return err
				}
				if err := record(t.Context(), tx, event{Action: audit.AuditRedacted, Actor: actor, Object: audit.RedactionOf(target), Reason: "other",
					Detail: map[string]any{"signature": signature}}); err != nil {
					return err
				}
				_, err = tx.Exec(t.Context(), `SELECT audit.redact($1)`, target)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			kinds := func() (out []string) {
				for _, f := range verify(t, s, nil).Findings {
					out = append(out, f.Kind)
				}
				return out
			}
			if got := kinds(); !slices.Contains(got, audit.KindPayloadGone) {
				t.Errorf("while it waits: %v", got)
			}
			seal(t, s)
			if got := kinds(); !slices.Contains(got, audit.KindPayloadGone) || !slices.Contains(got, audit.KindRedaction) {
				t.Errorf("once it is sealed: %v", got)
			}
		})
	}
}
