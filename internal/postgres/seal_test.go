package postgres

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"longitude/internal/audit"
	"longitude/internal/people"
	"longitude/study"
)

// signerOf is the signer of a log, the same for the same letter.
func signerOf(t testing.TB, letter string) *audit.Signer {
	t.Helper()
	s, err := audit.NewSigner(strings.Repeat(letter, 16), ed25519.NewKeyFromSeed([]byte(strings.Repeat(letter, 32))))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// note records n events that say nothing, without sealing them.
func note(t testing.TB, s *Store, n int) {
	t.Helper()
	for i := range n {
		if err := s.Audit(t.Context(), audit.ExportMade, "test", "amd-obs", fmt.Sprintf("export/%d", i), audit.OK, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func seal(t testing.TB, s *Store) audit.Checkpoint {
	t.Helper()
	c, _, err := s.Seal(t.Context(), signerOf(t, "a"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSealing(t *testing.T) {
	s := open(t)
	if c, n, err := s.Seal(t.Context(), signerOf(t, "a")); err != nil || c.Size != 0 || n != 0 {
		t.Errorf("an empty log: %+v, %d, %v", c, n, err)
	}
	note(t, s, 3)
	first := seal(t, s)
	if again := seal(t, s); again.Size != 3 || string(again.Note) != string(first.Note) {
		t.Errorf("sealed again without news: %+v", again)
	}
	note(t, s, 5)
	second := seal(t, s)
	if second.Size != 8 {
		t.Errorf("size %d", second.Size)
	}
	if err := audit.Consistent(first, second, nodes{t.Context(), s.app}); err != nil {
		t.Error(err)
	}
	if n := one[int](t, s, `SELECT count(*) FROM jobs.unsealed`); n != 0 {
		t.Errorf("%d wait", n)
	}
	// Another key does not go on with this log, and a changed tree is not signed over.
	if _, _, err := s.Seal(t.Context(), signerOf(t, "b")); !hasCode(err, "audit.checkpoint") {
		t.Errorf("another key: %v", err)
	}
	tamper(t, s, `UPDATE audit.node SET hash = sha256('x') WHERE idx = (SELECT max(idx) FROM audit.node)`)
	note(t, s, 1)
	if _, _, err := s.Seal(t.Context(), signerOf(t, "a")); !hasCode(err, "audit.damaged") {
		t.Errorf("over a changed node: %v", err)
	}
}

func hasCode(err error, code string) bool {
	var e *study.Error
	return errors.As(err, &e) && e.Code == code
}

// tamper does what only a superuser can: it puts the guards aside, and back.
func tamper(t testing.TB, s *Store, statements ...string) {
	t.Helper()
	c := as(t, s, "")
	tamperIn(t, c, statements...)
	for _, table := range []string{"audit.event", "audit.seal", "audit.node", "audit.checkpoint", "audit.payload", "research.record_version", "research.batch", "research.quarantine_sighting", "research.quarantine"} {
		if _, err := c.Exec(t.Context(), "ALTER TABLE "+table+" ENABLE ALWAYS TRIGGER append_only"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Exec(t.Context(), "ALTER TABLE audit.payload ENABLE ALWAYS TRIGGER redact_only"); err != nil {
		t.Fatal(err)
	}
	_ = c.Close(context.Background())
}

func tamperIn(t testing.TB, c interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}, statements ...string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), `ALTER TABLE audit.event DISABLE TRIGGER ALL; ALTER TABLE audit.seal DISABLE TRIGGER ALL; ALTER TABLE audit.node DISABLE TRIGGER ALL;
		ALTER TABLE audit.checkpoint DISABLE TRIGGER ALL; ALTER TABLE audit.payload DISABLE TRIGGER ALL; ALTER TABLE research.record_version DISABLE TRIGGER ALL;
		ALTER TABLE research.batch DISABLE TRIGGER ALL; ALTER TABLE research.quarantine_sighting DISABLE TRIGGER ALL; ALTER TABLE research.quarantine DISABLE TRIGGER ALL`); err != nil {
		t.Fatal(err)
	}
	for _, sql := range statements {
		if tag, err := c.Exec(t.Context(), sql); err != nil || tag.RowsAffected() == 0 {
			t.Fatalf("%s: %d rows, %v", sql, tag.RowsAffected(), err)
		}
	}
}

// Several sealers and writers at once: every event has one place, without gaps.
func TestSealersAtOnce(t *testing.T) {
	s := open(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { note(t, s, 20) })
		wg.Go(func() {
			for range 10 {
				if _, _, err := s.Seal(t.Context(), signerOf(t, "a")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if c := seal(t, s); c.Size != 80 {
		t.Errorf("size %d, want 80", c.Size)
	}
	if n := one[int](t, s, `SELECT count(DISTINCT leaf_index) FROM audit.seal WHERE leaf_index < 80`); n != 80 {
		t.Errorf("%d places", n)
	}
}

// What is committed late, under a smaller number, gets a later place.
func TestLateCommit(t *testing.T) {
	s := open(t)
	tx, err := s.app.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := record(t.Context(), tx, event{Action: audit.ExportMade, Actor: "test", Object: "late"}); err != nil {
		t.Fatal(err)
	}
	note(t, s, 1)
	if c := seal(t, s); c.Size != 1 {
		t.Errorf("size %d", c.Size)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := seal(t, s); c.Size != 2 || one[string](t, s, `SELECT object FROM audit.event JOIN audit.seal USING (event_id) WHERE leaf_index = 1`) != "late" {
		t.Error("the late event is not last")
	}
}

func TestEventsOutsideOfTheVocabulary(t *testing.T) {
	s := open(t)
	if err := s.Audit(t.Context(), "something.else", "test", "", "x", "", nil); !hasCode(err, "audit.action") {
		t.Errorf("recorded: %v", err)
	}
	if err := s.Audit(t.Context(), audit.ExportMade, "test", "", strings.Repeat("x", audit.MaxLeaf), "", nil); !hasCode(err, "audit.too_large") {
		t.Errorf("recorded: %v", err)
	}
	if n := one[int](t, s, `SELECT count(*) FROM audit.event`); n != 0 {
		t.Errorf("%d events", n)
	}
}

// Ten statements that the application must not manage.
func TestWhatTheApplicationMustNotManage(t *testing.T) {
	s := open(t, amd())
	note(t, s, 2)
	seal(t, s)
	c := as(t, s, "longitude_app")
	for _, statement := range []string{
		`UPDATE audit.event SET actor = 'somebody else'`,
		`DELETE FROM audit.event`,
		`TRUNCATE audit.event, audit.seal, audit.node, audit.checkpoint, audit.payload`,
		`DROP TABLE audit.event`,
		`ALTER TABLE audit.event ADD COLUMN x int`,
		`ALTER TABLE audit.event DISABLE TRIGGER append_only`,
		`CREATE RULE quiet AS ON INSERT TO audit.event DO INSTEAD NOTHING`,
		`CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
		`DELETE FROM audit.payload`,
		`SELECT audit.redact(1)`,
		`CREATE TRIGGER quiet BEFORE INSERT ON audit.event FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
		`INSERT INTO audit.seal VALUES (1, 7, '') ON CONFLICT (event_id) DO UPDATE SET leaf_index = 7`,
		`GRANT UPDATE ON audit.event TO longitude_app`,
	} {
		if _, err := c.Exec(t.Context(), statement); err == nil || !refused(err) {
			// A grant by somebody who may not is a warning that changes nothing.
			if strings.HasPrefix(statement, "GRANT") {
				continue
			}
			t.Errorf("%s: %v", statement, err)
		}
	}
	if _, err := c.Exec(t.Context(), `UPDATE audit.event SET actor = 'x'`); !refused(err) {
		t.Errorf("after all that the application changes events: %v", err)
	}
}

func TestRedaction(t *testing.T) {
	cleo, mia := newcomer(t, "cleo", people.Custodian), newcomer(t, "mia", people.DataManager)
	s, _ := staffed(t, cleo, mia)
	if err := s.Apply(t.Context(), []Document{{Kind: "source", Name: "a"}}, "plan", "additive", "dm", "words"); err != nil {
		t.Fatal(err)
	}
	id := one[int64](t, s, `SELECT event_id FROM audit.payload`)
	r, err := s.Redaction(t.Context(), id, "other")
	if err != nil {
		t.Fatal(err)
	}
	sig := cleo.signs(t, people.Responsibility, r, 0)
	if _, err := s.Redaction(t.Context(), id+1, "other"); !hasCode(err, "status.not_found") {
		t.Errorf("nothing to redact: %v", err)
	}
	if err := s.Redact(t.Context(), id, "other", *mia.signs(t, people.Responsibility, r, 0)); !hasCode(err, "people.role_missing") {
		t.Errorf("by somebody who may not: %v", err)
	}
	if err := s.Redact(t.Context(), id, "correction", *sig); !hasCode(err, "people.other_record") {
		t.Errorf("for another reason than was signed: %v", err)
	}
	if n := one[int](t, s, `SELECT count(*) FROM audit.payload`); n != 1 {
		t.Error("the payload is gone, and everybody was refused")
	}
	if err := s.Redact(t.Context(), id, "other", *sig); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, s, `SELECT count(*) FROM audit.event WHERE action = 'audit.redacted' AND actor = 'cleo' AND reason = 'other'`); n != 1 {
		t.Errorf("%d events of the redaction", n)
	}
	if n := one[int](t, s, `SELECT count(*) FROM audit.payload`); n != 0 {
		t.Error("the payload is there")
	}
	// What redact lets through is over with it.
	if _, err := as(t, s, "").Exec(t.Context(), `DELETE FROM audit.payload`); !refused(err) {
		t.Errorf("payloads can be deleted: %v", err)
	}
}

const restoreNode = `DROP TRIGGER append_only ON audit.node; CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.node FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change(); ALTER TABLE audit.node ENABLE ALWAYS TRIGGER append_only`

// bodyOf gives a trigger function its own source back.
func bodyOf(name string) string {
	return "CREATE OR REPLACE FUNCTION " + name + "() RETURNS trigger LANGUAGE plpgsql AS $$" + functions()[name] + "$$"
}

func TestGuarded(t *testing.T) {
	s := open(t, amd())
	if err := s.Guarded(t.Context()); err != nil {
		t.Fatal(err)
	}
	for code, steps := range map[string][2]string{
		"database.guard_missing a":  {`ALTER TABLE audit.seal DISABLE TRIGGER append_only`, `ALTER TABLE audit.seal ENABLE ALWAYS TRIGGER append_only`},
		"database.guard_missing b":  {`ALTER TABLE research.batch ENABLE TRIGGER append_only`, `ALTER TABLE research.batch ENABLE ALWAYS TRIGGER append_only`},
		"database.guard_missing c":  {`ALTER TABLE audit.payload ENABLE REPLICA TRIGGER redact_only`, `ALTER TABLE audit.payload ENABLE ALWAYS TRIGGER redact_only`},
		"database.guard_missing d":  {`DROP TRIGGER append_only ON audit.node; CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.node FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION audit.refuse_change(); ALTER TABLE audit.node ENABLE ALWAYS TRIGGER append_only`, restoreNode},
		"database.guard_missing e":  {`DROP TRIGGER append_only ON audit.node; CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit.node FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change(); ALTER TABLE audit.node ENABLE ALWAYS TRIGGER append_only`, restoreNode},
		"database.guard_missing f":  {`DROP TRIGGER append_only ON audit.node; CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.node FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_deletion(); ALTER TABLE audit.node ENABLE ALWAYS TRIGGER append_only`, restoreNode},
		"database.guard_changed a":  {`CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`, bodyOf("audit.refuse_change")},
		"database.guard_changed b":  {`CREATE OR REPLACE FUNCTION audit.refuse_deletion() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`, bodyOf("audit.refuse_deletion")},
		"database.guard_changed c":  {`CREATE FUNCTION audit.redact(target text) RETURNS boolean LANGUAGE sql AS 'SELECT true'`, `DROP FUNCTION audit.redact(text)`},
		"database.guard_foreign a":  {`CREATE TRIGGER quiet BEFORE INSERT ON audit.event FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`, `DROP TRIGGER quiet ON audit.event`},
		"database.guard_foreign b":  {`CREATE RULE quiet AS ON INSERT TO audit.event DO INSTEAD NOTHING`, `DROP RULE quiet ON audit.event`},
		"database.guard_foreign c":  {`ALTER TABLE audit.event ENABLE ROW LEVEL SECURITY`, `ALTER TABLE audit.event DISABLE ROW LEVEL SECURITY`},
		"database.app_rights owner": {`ALTER TABLE audit.seal OWNER TO longitude_app`, `ALTER TABLE audit.seal OWNER TO CURRENT_USER`},
	} {
		c := as(t, s, "")
		if _, err := c.Exec(t.Context(), steps[0]); err != nil {
			t.Fatal(err)
		}
		want, _, _ := strings.Cut(code, " ")
		if err := s.Guarded(t.Context()); !hasCode(err, want) {
			t.Errorf("%s: %v", steps[0], err)
		}
		if _, err := c.Exec(t.Context(), steps[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Guarded(t.Context()); err != nil {
		t.Error(err)
	}
	// A login of its own must not be the owner's.
	other := connect(t, s.urls.Owner)
	other.urls.App = "a login of its own"
	if err := other.Guarded(t.Context()); !hasCode(err, "database.app_rights") {
		t.Errorf("the owner's login for the application: %v", err)
	}
	skipping := URLs{Owner: s.urls.Owner, App: s.urls.Owner + sep(s.urls.Owner) + "session_replication_role=replica", Vault: s.urls.Owner, Release: s.urls.Owner}
	bad, err := Open(t.Context(), skipping, "x")
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	if err := bad.Guarded(t.Context()); !hasCode(err, "database.replication_role") {
		t.Errorf("a session that skips triggers: %v", err)
	}
}

func sep(url string) string {
	if strings.Contains(url, "?") {
		return "&"
	}
	return "?"
}

// Every guard of the schema is demanded at the start.
func TestGuardsAreAllDemanded(t *testing.T) {
	s := open(t)
	rows, err := as(t, s, "").Query(t.Context(), `SELECT tgrelid::regclass::text || '.' || tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || strings.Join(there, "\n") != strings.Join(guarded, "\n") {
		t.Errorf("the schema has\n%v\ndemanded are\n%v", there, guarded)
	}
}
