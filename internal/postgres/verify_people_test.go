package postgres

import (
	"context"
	"crypto/sha256"
	"testing"

	"longitude/internal/audit"
	"longitude/internal/people"
	"longitude/study"
)

// Whatever a superuser does to people and signatures is found, at its event.
func TestMutationsOfPeople(t *testing.T) {
	mia, vera := newcomer(t, "mia", people.ReleaseManager), newcomer(t, "vera", people.Auditor)
	s, _ := staffed(t, mia, vera)
	if err := s.Register(t.Context(), amd(), nil); err != nil {
		t.Fatal(err)
	}
	lock := study.Decision{Kind: study.LockData, Study: "amd-obs", Reason: "database_lock", Actor: "dm", At: at("2026-08-01T10:00:00Z"), Statement: []byte("x"), Signature: []byte("y"), SignedBy: "k"}
	decide(t, s, lock)
	list := review(t, s)
	if err := s.CloseReview(t.Context(), list.ID, expected(list), *vera.closes(t, list)); err != nil {
		t.Fatal(err)
	}
	r := people.Record{Type: "release", ID: "amd_r001", Version: "1", Study: "amd-obs", SHA256: sha256.Sum256([]byte("plan"))}
	if _, err := s.Sign(t.Context(), *mia.signs(t, people.Approval, r, 0), r, people.ReleaseManager); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, nil); r.Err() != nil {
		t.Fatalf("before: %+v", r)
	}
	c := as(t, s, "")
	for name, m := range map[string]struct {
		do    string
		kind  string
		event string // the one that is pointed at, by action; "" = none
	}{
		"a role taken on":     {`UPDATE audit.person_version SET roles = '{admin}' WHERE person_id = 'mia'`, audit.KindPerson, "access.granted"},
		"another key":         {`UPDATE audit.person_version SET public_key = sha256('x') WHERE person_id = 'mia'`, audit.KindPerson, "access.granted"},
		"a person deleted":    {`DELETE FROM audit.person_version WHERE person_id = 'mia'`, audit.KindPerson, "access.granted"},
		"a person added":      {`INSERT INTO audit.person_version SELECT 'zoe', 1, printed_name, roles, public_key, recipient, active, fingerprint, 1 FROM audit.person_version WHERE person_id = 'ada'`, audit.KindUnrecorded, ""},
		"a signature deleted": {`DELETE FROM audit.signature WHERE record_type = 'release'`, audit.KindSignature, "signature.given"},
		"a signature changed": {`UPDATE audit.signature SET statement = statement || ' ' WHERE record_type = 'release'`, audit.KindSignature, "signature.given"},
		"a signature added": {`INSERT INTO audit.signature (signer, person_version, meaning, record_type, record_id, record_version, study, signed_at, statement, signature)
			SELECT signer, person_version, meaning, record_type, 'amd_r002', record_version, study, signed_at, statement, signature FROM audit.signature WHERE record_type = 'release'`, audit.KindUnrecorded, ""},
		"a signature by right of another version": {`UPDATE audit.signature SET person_version = 2 WHERE record_type = 'release'`, audit.KindSignature, "signature.given"},
		"a decision deleted":                      {`DELETE FROM research.decision`, audit.KindDecision, "decision.lock"},
		"a decision changed":                      {`UPDATE research.decision SET statement = 'z'`, audit.KindDecision, "decision.lock"},
		"a decision added": {`INSERT INTO research.decision SELECT 99, kind, study_id, after_batch, participant_id, visit, code, visit_no, detail, evidence, source, quarantine_id, lifts, reason, actor, statement, signature, signed_by, recorded_at
			FROM research.decision`, audit.KindUnrecorded, ""},
		"an item taken from a review": {`DELETE FROM audit.review_item WHERE (leaf_index, concern) = (SELECT leaf_index, concern FROM audit.review_item LIMIT 1)`, audit.KindReview, "audit.reviewed"},
		"another disposition":         {`UPDATE audit.review_closed SET dispositions = '{}'`, audit.KindReview, "audit.reviewed"},
		"a review opened again":       {`DELETE FROM audit.review_closed`, audit.KindReview, "audit.reviewed"},
	} {
		t.Run(name, func(t *testing.T) {
			tx, err := c.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(context.Background()) }()
			if _, err := tx.Exec(t.Context(), `ALTER TABLE audit.person_version DISABLE TRIGGER ALL; ALTER TABLE audit.signature DISABLE TRIGGER ALL;
				ALTER TABLE research.decision DISABLE TRIGGER ALL; ALTER TABLE audit.review_item DISABLE TRIGGER ALL; ALTER TABLE audit.review_closed DISABLE TRIGGER ALL`); err != nil {
				t.Fatal(err)
			}
			if tag, err := tx.Exec(t.Context(), m.do); err != nil || tag.RowsAffected() != 1 {
				t.Fatalf("%v, %v", tag, err)
			}
			r, err := verifyAudit(t.Context(), tx, signerOf(t, "a").Policy(), nil, false)
			if err != nil || len(r.Findings) != 1 || r.Findings[0].Kind != m.kind {
				t.Fatalf("found %+v, %v, want one %s", r.Findings, err, m.kind)
			}
			if m.event == "" {
				return
			}
			var action string
			if err := tx.QueryRow(t.Context(), `SELECT action FROM audit.event JOIN audit.seal USING (event_id) WHERE event_id = $1 AND leaf_index = $2`, r.Findings[0].Event, r.Findings[0].Index).Scan(&action); err != nil || action != m.event {
				t.Errorf("it points at %q, %v", action, err)
			}
		})
	}
}
