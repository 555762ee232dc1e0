package postgres

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"longitude/internal/postgres/postgrestest"
	"longitude/study"
)

func TestMigrateUpDownUp(t *testing.T) {
	url := postgrestest.URL(t)
	if pending, err := Pending(t.Context(), url); err != nil || !pending {
		t.Fatalf("an empty database: pending %v, %v", pending, err)
	}
	first, err := Migrate(t.Context(), url)
	if err != nil || len(first) == 0 {
		t.Fatalf("applied %v, %v", first, err)
	}
	if again, err := Migrate(t.Context(), url); err != nil || len(again) != 0 {
		t.Errorf("applied %v again, %v", again, err)
	}
	p, done, err := provider(url)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, err := p.DownTo(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { _ = db.Close() }()
	var left sql.NullString
	if err := db.QueryRow(`SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname IN ('research', 'vault', 'audit', 'jobs')`).Scan(&left); err != nil || left.Valid {
		t.Errorf("schemas %q are left, %v", left.String, err)
	}
	if second, err := Migrate(t.Context(), url); err != nil || !slices.Equal(first, second) {
		t.Errorf("applied %v, then %v, %v", first, second, err)
	}
	if pending, err := Pending(t.Context(), url); err != nil || pending {
		t.Errorf("pending %v after migrating, %v", pending, err)
	}
}

// A database of the first version is brought forward with what is in it, under a
// program that has its views.
func TestTheFirstVersionIsBroughtForward(t *testing.T) {
	url := postgrestest.URL(t)
	p, done, err := provider(url)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, err := p.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s := connect(t, url)
	if err := s.Register(t.Context(), amd(), nil); err != nil { // its views of forms stand on those that change
		t.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO research.batch VALUES (1, 1, 'object', 'a', '\x01', 1, 1, 1, '2026-07-31', NULL, '', '', '', 0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0)`,
		`INSERT INTO research.participant VALUES (1, 1, 'A', 1)`,
		`INSERT INTO research.participant_version VALUES (1, 1, 'site-a', true, '2026-01-01', NULL)`,
		`INSERT INTO research.visit_version VALUES (1, 1, 1, 'key', 'baseline', '2026-01-01', NULL, NULL, false, NULL, 'completed', NULL, NULL, NULL, NULL, NULL, NULL, false)`,
		`INSERT INTO research.record_version VALUES (1, 1, NULL, gen_random_uuid(), 1, 1, 1, 1, NULL, 1, 'u', 'R', 'R')`,
		`INSERT INTO research.quarantine (study_id, source, site, form, field, rule, item_digest) VALUES (1, 'a', '', '', '', 'range', '\x01')`,
		`INSERT INTO research.quarantine_sighting VALUES (1, 1, 1, 1, 1)`,
	} {
		if _, err := as(t, s, "").Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if _, err := Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	h := stored(t, s, 1)[0]
	if h.Participant.Status != "" || h.Participant.StatusOn != study.NoDate || !h.Participant.Enrolled || len(h.Visits) != 1 || h.Visits[0].Protocol != 0 || h.Versions[0].Landed != 1 {
		t.Errorf("history %+v", h)
	}
	if got := states(t, s); len(got) != 1 || got[1] != "open" {
		t.Errorf("quarantine %v", got)
	}
	if n := one[int](t, s, `SELECT count(*) FROM research.amd_obs__acuity WHERE visit = 'baseline'`); n != 1 {
		t.Errorf("%d rows in the view of the form", n)
	}
	if objects, err := s.Objects(t.Context(), "a", true); err != nil || len(objects) != 1 || objects[0].Item != "" {
		t.Errorf("objects %+v, %v", objects, err)
	}
}

// appendOnly are the tables whose rows never change.
var appendOnly = []string{
	"research.document", "research.key_check", "research.shape", "research.batch", "research.participant", "research.participant_identity",
	"research.participant_version", "research.record_version", "research.record_part", "research.visit_version", "research.deviation_version",
	"research.hold_version", "research.quarantine", "research.quarantine_sighting", "research.release", "research.release_publication",
	"research.decision", "research.source_shape", "research.drift_event", "research.applied",
	"vault.identity", "vault.sealed_value", "vault.quarantined_row", "vault.object_name", "vault.decision_note", "vault.uid", "vault.erased", "vault.request_reason",
	"research.release_series", "research.release_series_revocation", "vault.crosswalk",
	"audit.text_review", "audit.text_review_item", "audit.text_review_answer", "research.reviewed_text",
	"audit.person_version", "audit.signature", "audit.review", "audit.review_item", "audit.review_closed",
	"audit.vault_request", "audit.vault_step", "audit.received", "audit.event", "audit.seal", "audit.node", "audit.checkpoint", "audit.payload"}

func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42501" // insufficient_privilege, also of our trigger
}

func TestNobodyChangesWhatWasRecorded(t *testing.T) {
	s := open(t, amd())
	for _, role := range []string{"", "longitude_app", "longitude_release", "longitude_vault"} {
		c := as(t, s, role)
		for _, table := range appendOnly {
			column := one[string](t, s, `SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND attidentity = '' ORDER BY attnum LIMIT 1`, table)
			for _, statement := range []string{"UPDATE " + table + " SET " + column + " = " + column, "DELETE FROM " + table, "TRUNCATE " + table + " CASCADE"} {
				if _, err := c.Exec(t.Context(), statement); !refused(err) {
					t.Errorf("role %q: %s: %v", role, statement, err)
				}
			}
			if role == "" {
				continue
			}
			if _, err := c.Exec(t.Context(), "ALTER TABLE "+table+" DISABLE TRIGGER append_only"); !refused(err) {
				t.Errorf("role %q disables the trigger of %s: %v", role, table, err)
			}
		}
		// Replication mode skips ordinary triggers, not these. Only a superuser
		// gets there, as the login of this test is.
		if _, err := c.Exec(t.Context(), "SET session_replication_role = replica"); err == nil {
			if _, err := c.Exec(t.Context(), "DELETE FROM audit.event"); !refused(err) {
				t.Errorf("role %q deletes in replication mode: %v", role, err)
			}
		}
	}
}

// Every append-only table of the schema is in the list above: a table that is
// added must be decided about.
func TestEveryTableIsDecidedAbout(t *testing.T) {
	s := open(t, amd())
	rows, err := as(t, s, "").Query(t.Context(), `SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('research', 'vault', 'audit')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	mutable := []string{"research.study", "research.form", "research.allocation"} // changed by registering and numbering
	for _, table := range tables {
		if slices.Contains(appendOnly, table) == slices.Contains(mutable, table) {
			t.Errorf("table %s is not decided about", table)
		}
	}
}

func TestWhatRolesSee(t *testing.T) {
	s := open(t, amd())
	for role, tables := range map[string]map[string]bool{
		"longitude_app":     {"research.record_version": true, "research.amd_obs__acuity": true, "jobs.run": true, "audit.event": true, "vault.identity": false, "vault.sealed_value": false, "vault.quarantined_row": false, "vault.object_name": false, "vault.decision_note": false, "research.decision": true, "research.quarantine_current": true},
		"longitude_release": {"research.record_version": true, "research.amd_obs__acuity": true, "jobs.run": false, "audit.event": false, "vault.identity": false, "vault.sealed_value": false, "vault.decision_note": false, "research.decision": true},
		"longitude_vault":   {"vault.decision_note": true, "research.record_version": false, "jobs.run": false},
	} {
		c := as(t, s, role)
		for table, may := range tables {
			_, err := c.Exec(t.Context(), "SELECT * FROM "+table)
			if may && err != nil || !may && !refused(err) {
				t.Errorf("%s selects from %s: %v", role, table, err)
			}
		}
		if _, err := c.Exec(t.Context(), "INSERT INTO research.allocation VALUES ('x', 1)"); role == "longitude_release" && !refused(err) {
			t.Errorf("%s writes: %v", role, err)
		}
	}
}

// The pools have taken on their roles, whoever logged in.
func TestPoolsTakeOnTheirRole(t *testing.T) {
	s := open(t, amd())
	var app, release string
	if err := s.app.QueryRow(t.Context(), `SELECT current_user`).Scan(&app); err != nil {
		t.Fatal(err)
	}
	if err := s.release.QueryRow(t.Context(), `SELECT current_user`).Scan(&release); err != nil {
		t.Fatal(err)
	}
	if app != "longitude_app" || release != "longitude_release" {
		t.Errorf("the pools are %s and %s", app, release)
	}
}

func TestUnbalancedCountsAreRefused(t *testing.T) {
	s := open(t, amd())
	for name, c := range map[string]study.Counts{
		"rows":    {Read: 3, Mapped: 1, Ignored: 1},
		"records": {Produced: 2, Accepted: 1},
	} {
		t.Run(name, func(t *testing.T) {
			in := begin(t, s, "amd-obs")
			b := batch("a", name, 0)
			b.Counts = c
			if err := in.Finish(t.Context(), b); err == nil || !strings.Contains(err.Error(), "23514") {
				t.Errorf("recorded: %v", err)
			}
			in.Rollback(t.Context())
		})
	}
	if n := one[int](t, s, `SELECT count(*) FROM research.batch`); n != 0 {
		t.Errorf("%d batches are there", n)
	}
}

// What the server says can quote what was written; none of it crosses.
func TestErrorsQuoteNothing(t *testing.T) {
	const planted = "Jane Doe 1944-02-03"
	s := open(t, amd())
	for name, statement := range map[string]string{
		"a cast":        `SELECT $1::text::int`,
		"a check":       `INSERT INTO jobs.run (kind, study, trigger, software, state) VALUES ($1, '', '', '', 'running')`,
		"a missing key": `INSERT INTO research.form (study_id, name) VALUES (99, $1)`,
		"a function":    `SELECT pg_catalog.pg_input_error_info($1, 'x')`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.app.Exec(t.Context(), statement, planted)
			if err == nil {
				t.Fatal("the statement does not fail")
			}
			told := fault("try", err)
			if text := told.Error(); strings.Contains(text, "Jane") || strings.Contains(text, "1944") || !strings.Contains(text, "SQLSTATE") {
				t.Errorf("told: %s", text)
			}
			var pg *pgconn.PgError
			if errors.As(told, &pg) {
				t.Error("the server's own error is still inside")
			}
		})
	}
	in := begin(t, s, "amd-obs")
	v := packed(1, 0, "1", 1, planted+"\x00")
	if err := in.Write(t.Context(), &study.Changes{Records: []study.RecordVersion{v}}); err == nil || strings.Contains(err.Error(), "Jane") {
		t.Errorf("a text that Postgres refuses: %v", err)
	}
	in.Rollback(t.Context())
	for _, url := range []string{"postgres://u:secretword@[::1", "postgres://u:secretword@127.0.0.1:1/x?connect_timeout=1"} {
		if _, err := Open(t.Context(), URLs{Owner: url, App: url, Vault: url, Release: url}, ""); err == nil || strings.Contains(err.Error(), "secretword") {
			t.Errorf("opening told: %v", err)
		}
	}
}

// Whether to try again, and what to do, follows from the class of the failure.
func TestFaultsSayWhatToDo(t *testing.T) {
	for code, temporary := range map[string]bool{"08006": true, "57P01": true, "40P01": true, "55P03": true, "53100": true, "25006": true,
		"28P01": false, "3D000": false, "42P01": false, "23505": false, "22021": false} {
		err := fault("try", &pgconn.PgError{Code: code, Message: "secret", Detail: "secret", SchemaName: "research", TableName: "batch"})
		var e *study.Error
		if !errors.As(err, &e) || e.Temporary != temporary || e.Hint == "" || !strings.Contains(e.Op, code+", research.batch") || strings.Contains(e.Error()+e.Hint, "secret") {
			t.Errorf("%s: %+v", code, e)
		}
	}
	if !study.IsTemporary(fault("try", context.DeadlineExceeded)) {
		t.Error("an interruption is not tried again")
	}
}
