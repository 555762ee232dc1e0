package postgres

import (
	"context"
	"testing"
	"time"

	"longitude/internal/audit"
	"longitude/internal/people"
)

// Rows as they were landed are seen by signature only, each time by another one.
func TestLooks(t *testing.T) {
	vera, max := newcomer(t, "vera", people.Auditor), newcomer(t, "max", people.Operator)
	s, admin := staffed(t, vera, max)
	look := &Look{At: time.Now().UTC(), Study: "amd-obs", Release: "amd_r001", Table: "acuity", Participant: 7, Rows: []LandedRow{{3, 12}}, Reason: "correction"}
	more := *look
	more.Rows = append(more.Rows, LandedRow{3, 13})
	signed := func(p somebody, l *Look, ago time.Duration) people.Signature {
		return *p.signs(t, people.Responsibility, l.Record(), ago)
	}
	for name, c := range map[string]struct {
		sig  people.Signature
		code string
	}{
		"by nobody":                {people.Signature{}, "people.unknown"},
		"by an operator":           {signed(max, look, 0), "people.role_missing"},
		"by an admin":              {signed(admin, look, 0), "people.role_missing"},
		"signed for other rows":    {signed(vera, &more, 0), "people.other_record"},
		"signed an hour ago":       {signed(vera, look, time.Hour), "people.expired"},
		"with another's signature": {people.Signature{Statement: signed(vera, look, 0).Statement, Sig: signed(max, look, 0).Sig}, "people.signature"},
	} {
		if err := s.Looked(t.Context(), look, c.sig); !hasCode(err, c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	if n := one[int](t, s, `SELECT count(*) FROM audit.event WHERE action = 'record.viewed'`); n != 0 {
		t.Errorf("%d events say that somebody looked", n)
	}
	sig := signed(vera, look, 0)
	if err := s.Looked(t.Context(), look, sig); err != nil {
		t.Fatal(err)
	}
	if err := s.Looked(t.Context(), look, sig); !hasCode(err, "people.signed_before") {
		t.Errorf("with a signature that was used: %v", err)
	}
	again := *look
	again.At = look.At.Add(time.Millisecond)
	if err := s.Looked(t.Context(), &again, signed(vera, &again, 0)); err != nil {
		t.Errorf("another look at the same row: %v", err)
	}
	if n := events(t, s, audit.AccessDenied, "participant/7", audit.Denied); n != 7 {
		t.Errorf("%d refusals on record", n)
	}
	if n := events(t, s, audit.RecordViewed, "participant/7", audit.OK); n != 2 {
		t.Errorf("%d sealed events of who looked", n)
	}
}

// One connection is enough: nothing waits for a second one while it holds the first.
func TestOneConnection(t *testing.T) {
	big := open(t, amd())
	note(t, big, 3)
	c := seal(t, big)
	url := big.urls.Owner + sep(big.urls.Owner) + "pool_max_conns=1"
	s, err := Open(t.Context(), URLs{Owner: url, App: url, Vault: url, Release: url}, "x")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	proofs := 0
	if err := s.AuditEvents(ctx, AuditFilter{}, func(e audit.Entry) error {
		proofs++
		_, err := s.AuditProof(ctx, e.Event.ID, c)
		return err
	}); err != nil || proofs != 3 {
		t.Errorf("a proof of each event: %d, %v", proofs, err)
	}
	if r, err := s.VerifyAudit(ctx, signerOf(t, "a").Policy(), nil, true); err != nil || r.Err() != nil {
		t.Errorf("verify: %+v, %v", r, err)
	}
	start(t, s, "a")
	if err := s.Deliver(ctx, func(context.Context, []byte) error { return nil }); err != nil {
		t.Errorf("deliver: %v", err)
	}
}

// A list longer than what is read at once is whole and in order.
func TestEventsInPages(t *testing.T) {
	s := open(t)
	note(t, s, 2*eventPage+3)
	var seen, last int64
	if err := s.AuditEvents(t.Context(), AuditFilter{}, func(e audit.Entry) error {
		if e.Event.ID <= last {
			t.Fatalf("event %d after event %d", e.Event.ID, last)
		}
		seen, last = seen+1, e.Event.ID
		return nil
	}); err != nil || seen != 2*eventPage+3 {
		t.Errorf("%d events, %v", seen, err)
	}
}

// What the application must not manage with people, signatures, reviews and what is
// sealed; that nobody updates, deletes or truncates is shown for every table at once.
func TestWhatTheApplicationMustNotManageOfPeople(t *testing.T) {
	s, _ := staffed(t, newcomer(t, "vera", people.Auditor))
	review(t, s)
	c := as(t, s, "longitude_app")
	for _, table := range []string{"audit.person_version", "audit.signature", "audit.review", "audit.review_item", "audit.review_closed"} {
		for _, statement := range []string{
			`DROP TABLE ` + table + ` CASCADE`, `ALTER TABLE ` + table + ` ADD COLUMN x int`,
			`ALTER TABLE ` + table + ` DISABLE TRIGGER append_only`, `ALTER TABLE ` + table + ` ENABLE ROW LEVEL SECURITY`,
			`CREATE RULE quiet AS ON INSERT TO ` + table + ` DO INSTEAD NOTHING`,
			`CREATE TRIGGER quiet BEFORE INSERT ON ` + table + ` FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
			`DROP TRIGGER append_only ON ` + table, `ALTER TABLE ` + table + ` OWNER TO longitude_app`,
		} {
			if _, err := c.Exec(t.Context(), statement); !refused(err) {
				t.Errorf("%s: %v", statement, err)
			}
		}
	}
	for _, statement := range []string{
		`INSERT INTO audit.person_version SELECT * FROM audit.person_version ON CONFLICT (person_id, version) DO UPDATE SET roles = '{admin}'`,
		`SELECT box FROM vault.sealed_value`, `SELECT * FROM vault.sealed_value`,
		`ALTER TABLE jobs.outbox ADD COLUMN x int`, `DROP TABLE jobs.outbox`, `ALTER TABLE research.participant_version DROP COLUMN told`,
	} {
		if _, err := c.Exec(t.Context(), statement); !refused(err) {
			t.Errorf("%s: %v", statement, err)
		}
	}
}
