package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/postgres/postgrestest"
	"longitude/study"
)

// migrated is a fresh database of the newest version.
func migrated(t testing.TB) string {
	t.Helper()
	return postgrestest.New(t, func(ctx context.Context, url string) error {
		_, err := Migrate(ctx, url)
		return err
	})
}

// open is a store on a fresh database that knows the studies.
func open(t testing.TB, studies ...*study.Study) *Store {
	t.Helper()
	url := migrated(t)
	s := connect(t, url)
	for _, st := range studies {
		if err := s.Register(t.Context(), st, nil); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func connect(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), URLs{Owner: url, App: url, Vault: url, Release: url}, "longitude test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// as connects with one of the roles; "" is the owner.
func as(t testing.TB, s *Store, role string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.urls.Owner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	if role != "" {
		if _, err := c.Exec(t.Context(), "SET ROLE "+role); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// one reads a single value with the owner's rights.
func one[T any](t testing.TB, s *Store, sql string, args ...any) (v T) {
	t.Helper()
	c := as(t, s, "")
	defer func() { _ = c.Close(context.Background()) }() // not only at the end: a test asks often
	if err := c.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// The forms of the test study, by index.
const (
	acuityForm = iota
	eventForm
)

func amd() *study.Study {
	forms := []study.VisitForm{{Form: "acuity", Critical: true}, {Form: "imaging"}}
	return &study.Study{Name: "amd-obs", Title: "AMD", Protocol: study.Protocol{ID: "AMD-1", Version: "3.0"}, CodePrefix: "AMD", Timezone: "UTC",
		Versions: []study.ProtocolVersion{{Version: "2.0", Effective: study.NoDate}, {Version: "3.0", Effective: day("2026-06-01")}},
		Visits: []study.VisitType{
			{Name: "baseline", Label: "Baseline", HasWindow: true, Required: true, Forms: forms},
			{Name: "month_1", Label: "Month 1", Day: 30, Before: 7, After: 14, HasWindow: true, Required: true, Forms: forms},
			{Name: "early_end", Label: "Early end", NoTarget: true}},
		Forms: []study.Form{
			{Name: "acuity", Label: "Visual acuity", RepeatsBy: "eye", Expect: []string{"R", "L"}, Fields: []study.Field{
				{Name: "eye", Type: study.Choice}, {Name: "letters", Type: study.Integer}, {Name: "iop", Type: study.Decimal, Precision: 5, Scale: 1},
				{Name: "dilated", Type: study.Boolean}, {Name: "read_at", Type: study.DateTime}, {Name: "onset", Type: study.DateType},
				{Name: "note", Type: study.Text, Class: study.FreeText}, {Name: "visit", Type: study.Choice}}},
			{Name: "events", Label: "Adverse events", Log: true, Fields: []study.Field{{Name: "term", Type: study.Choice}}},
			{Name: "imaging", Label: "Imaging", Fields: []study.Field{{Name: "done", Type: study.Boolean}}},
		},
		Digest: sha256.Sum256([]byte("study"))}
}

func identity(code string) study.SealedIdentity {
	return study.SealedIdentity{Code: code, Namespace: "edc", Blind: sha256.Sum256([]byte(code)), Box: []byte("sealed"), KeyVersion: 1, Canon: 1}
}

func begin(t testing.TB, s *Store, name string) *Ingest {
	t.Helper()
	in, err := s.BeginIngest(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Rollback(context.Background()) })
	return in
}

// participants creates participants in the open transaction.
func participants(t testing.TB, in *Ingest, codes ...string) []int64 {
	t.Helper()
	ids := make([]study.SealedIdentity, len(codes))
	for i, c := range codes {
		ids[i] = identity(c)
	}
	numbers, _, err := in.Resolve(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return numbers
}

// batch is the record of an object that brought nothing to count.
func batch(source, object string, asOf study.Date) study.BatchRecord {
	return study.BatchRecord{Kind: "object", Source: source, Object: study.Object{Digest: sha256.Sum256([]byte(object)), Size: 10}, Item: "item " + object, ItemVersion: "1",
		SealedName: []byte("name"), KeyVersion: 1, RunID: 1, Actor: "test", AsOf: asOf, Protocol: sha256.Sum256([]byte("study")), Root: sha256.Sum256(nil)}
}

func finish(t testing.TB, in *Ingest, b study.BatchRecord) {
	t.Helper()
	if err := in.Finish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := in.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// write records changes as one object of the source and answers its batch number.
func write(t testing.TB, s *Store, source string, c *study.Changes) int64 {
	t.Helper()
	in := begin(t, s, "amd-obs")
	if err := in.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	finish(t, in, batch(source, fmt.Sprint(in.Batch()), day("2026-07-31")))
	return in.Batch()
}

// enrol creates participants and commits them.
func enrol(t testing.TB, s *Store, codes ...string) []int64 {
	t.Helper()
	in := begin(t, s, "amd-obs")
	numbers := participants(t, in, codes...)
	finish(t, in, batch("enrolment", fmt.Sprint(in.Batch()), day("2026-07-31")))
	return numbers
}

// packed is a record version of an acuity form with the answers given.
func packed(participant int64, visitNo int32, occurrence string, version int32, answers string) study.RecordVersion {
	return study.RecordVersion{Key: study.RecordKey{Form: acuityForm, VisitNo: visitNo, Occurrence: occurrence}, Version: version,
		Record: &study.Record{Participant: participant, Form: acuityForm, Occurrence: occurrence, Ordinal: 1, Answers: answers,
			Entered: study.NoDate, Withdrawn: study.NoDate, Consented: study.NoDate, Hash: [16]byte{byte(version)}}}
}

func stored(t testing.TB, s *Store, numbers ...int64) []study.History {
	t.Helper()
	reg, err := s.known("amd-obs")
	if err != nil {
		t.Fatal(err)
	}
	past := past{q: s.app, reg: reg, upTo: 1 << 62}
	h, err := past.histories(t.Context(), numbers)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func day(text string) study.Date {
	d, ok := study.ParseDate(text)
	if !ok {
		panic("not a date: " + text)
	}
	return d
}

func at(text string) time.Time {
	tm, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return tm
}

// batchOf is the record of an object of the source that brought nothing to count.
func batchOf(source, object string) study.BatchRecord {
	return batch(source, object, day("2026-07-31"))
}
