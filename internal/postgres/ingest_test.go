package postgres

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"longitude/study"
)

// Two ingests that meet the same identity give it one number, and number
// everybody without gaps.
func TestOneNumberPerIdentity(t *testing.T) {
	other := amd()
	other.Name = "other"
	s := open(t, amd(), other)
	var mu sync.Mutex
	seen, created := map[string]int64{}, map[string]int{}
	var wg sync.WaitGroup
	for i, name := range []string{"amd-obs", "amd-obs", "other"} {
		wg.Go(func() {
			in, err := s.BeginIngest(t.Context(), name)
			if err != nil {
				t.Error(err)
				return
			}
			defer in.Rollback(t.Context())
			var ids []study.SealedIdentity
			for n := range 20 {
				ids = append(ids, identity(fmt.Sprintf("%s-%d", name, n+i*5)))
			}
			numbers, isNew, err := in.Resolve(t.Context(), ids)
			if err == nil {
				err = in.Commit(t.Context())
			}
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for n, id := range ids {
				if old, ok := seen[id.Code]; ok && old != numbers[n] {
					t.Errorf("%s is %d and %d", id.Code, old, numbers[n])
				}
				seen[id.Code] = numbers[n]
				if isNew[n] {
					created[id.Code]++
				}
			}
		})
	}
	wg.Wait()
	var numbers []int64
	for code, n := range seen {
		numbers = append(numbers, n)
		if created[code] != 1 {
			t.Errorf("%s was new %d times", code, created[code])
		}
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != int64(i)+1 {
			t.Fatalf("numbers %v", numbers)
		}
	}
	if n := one[int](t, s, `SELECT count(*) FROM vault.identity`); n != len(numbers) {
		t.Errorf("%d identities in the vault", n)
	}
}

func TestRolledBackNumbersAreGivenAgain(t *testing.T) {
	s := open(t, amd())
	lost := begin(t, s, "amd-obs")
	if got := participants(t, lost, "A", "B"); !slices.Equal(got, []int64{1, 2}) {
		t.Fatalf("numbers %v", got)
	}
	lost.Rollback(t.Context())
	if got := enrol(t, s, "B", "C"); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("numbers %v after the rollback", got)
	}
	in := begin(t, s, "amd-obs")
	numbers, isNew, err := in.Resolve(t.Context(), []study.SealedIdentity{identity("C"), identity("D"), identity("B")})
	if err != nil || !slices.Equal(numbers, []int64{2, 3, 1}) || !slices.Equal(isNew, []bool{false, true, false}) {
		t.Errorf("numbers %v, new %v, %v", numbers, isNew, err)
	}
}

// An ingest waits for the one before it in its study, and sees what that wrote.
func TestIngestsOfAStudyTakeTurns(t *testing.T) {
	other := amd()
	other.Name = "other"
	s := open(t, amd(), other)
	first := begin(t, s, "amd-obs")
	number := participants(t, first, "A")[0]
	begin(t, s, "other").Rollback(t.Context()) // does not wait
	began := make(chan *Ingest)
	go func() {
		second, err := s.BeginIngest(t.Context(), "amd-obs")
		if err != nil {
			t.Error(err)
		}
		began <- second
	}()
	select {
	case <-began:
		t.Fatal("two ingests of one study are open")
	case <-time.After(100 * time.Millisecond):
	}
	if err := first.Write(t.Context(), &study.Changes{Records: []study.RecordVersion{packed(number, 1, "R", 1, "x")}}); err != nil {
		t.Fatal(err)
	}
	finish(t, first, batch("a", "1", 0))
	second := <-began
	defer second.Rollback(t.Context())
	h, err := second.Histories(t.Context(), []int64{number})
	if err != nil || len(h[0].Versions) != 1 || second.Batch() <= first.Batch() {
		t.Errorf("batch %d after %d sees %+v, %v", second.Batch(), first.Batch(), h, err)
	}
}

// Whatever is written is read back, field for field.
func TestHistoriesGiveBackWhatWasWritten(t *testing.T) {
	s := open(t, amd())
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		id := enrol(t, s, fmt.Sprintf("P%d", seed))[0]
		want := study.History{Participant: study.Participant{ID: id, Code: fmt.Sprintf("P%d", seed), Consented: study.NoDate, Withdrawn: study.NoDate, StatusOn: study.NoDate}}
		if got := stored(t, s, id)[0]; !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: before anything: %+v", seed, got)
		}
		for range 3 {
			b := write(t, s, "a", randomChanges(rng, &want))
			for i := range want.Versions {
				if want.Versions[i].BatchID == 0 {
					want.Versions[i].BatchID, want.Versions[i].Landed = b, b
				}
			}
			got := stored(t, s, id)[0]
			normalise(&got)
			normalise(&want)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d:\n got %+v\nwant %+v", seed, got, want)
			}
		}
	}
}

// normalise drops what the order of lists and nil against empty say.
func normalise(h *study.History) {
	h.Versions, h.Visits = append([]study.VersionRef{}, h.Versions...), append([]study.Visit{}, h.Visits...)
	h.Deviations, h.Holds = append([]study.Deviation{}, h.Deviations...), append([]study.Hold{}, h.Holds...)
	slices.SortFunc(h.Holds, func(a, b study.Hold) int { return compareText(fmt.Sprint(a), fmt.Sprint(b)) })
	slices.SortFunc(h.Versions, func(a, b study.VersionRef) int {
		return compareText(fmt.Sprintf("%v %05d", a.Key, a.Version), fmt.Sprintf("%v %05d", b.Key, b.Version))
	})
	slices.SortFunc(h.Deviations, func(a, b study.Deviation) int { return compareText(fmt.Sprint(a), fmt.Sprint(b)) })
}

func compareText(a, b string) int {
	if a < b {
		return -1
	}
	return map[bool]int{true: 0, false: 1}[a == b]
}

// randomChanges adds one batch's worth of versions to h and answers them as changes.
func randomChanges(rng *rand.Rand, h *study.History) *study.Changes {
	var c study.Changes
	h.Participant.Site, h.Participant.Enrolled = randomText(rng), rng.IntN(2) == 0
	h.Participant.Consented, h.Participant.Withdrawn, h.Participant.StatusOn = randomDate(rng), randomDate(rng), randomDate(rng)
	h.Participant.Status = []study.ParticipantStatus{"", study.Enrolled, study.Died}[rng.IntN(3)]
	h.Participant.Facts, h.Participant.Told = randomText(rng), randomText(rng)
	c.Participants = []study.Participant{h.Participant}
	for no := int32(1); no <= int32(len(h.Visits)+rng.IntN(3)); no++ {
		v := randomVisit(rng, no)
		if int(no) > len(h.Visits) {
			h.Visits = append(h.Visits, v)
		}
		h.Visits[no-1] = v
		c.Visits = append(c.Visits, study.VisitVersion{Participant: h.Participant.ID, Visit: v})
	}
	for range rng.IntN(4) {
		key := study.RecordKey{Form: rng.IntN(3), VisitNo: rng.Int32N(4), Occurrence: randomText(rng)}
		c.Records = append(c.Records, randomRecord(rng, h, key))
	}
	for i, code := range []string{study.LateEntry, study.FormMissing, study.VisitMissed} {
		d := study.Deviation{DeviationKey: study.DeviationKey{Code: code, VisitNo: int32(i), Detail: ""}, Kind: []study.DeviationKind{study.IsDeviation, study.IsViolation, study.IsFinding}[rng.IntN(3)],
			State: []study.DeviationState{study.Open, study.Explained, study.Resolved}[rng.IntN(3)], Evidence: randomText(rng)}
		h.Deviations = slices.DeleteFunc(h.Deviations, func(old study.Deviation) bool { return old.DeviationKey == d.DeviationKey })
		h.Deviations = append(h.Deviations, d)
		c.Deviations = append(c.Deviations, study.DeviationVersion{Participant: h.Participant.ID, Deviation: d})
	}
	hold := study.Hold{Key: study.RecordKey{Form: acuityForm, VisitNo: rng.Int32N(2), Occurrence: "R"}, Code: []string{"", study.ConsentMissing}[rng.IntN(2)]}
	h.Holds = slices.DeleteFunc(h.Holds, func(old study.Hold) bool { return old.Key == hold.Key })
	if hold.Code != "" {
		h.Holds = append(h.Holds, hold)
	}
	c.Holds = []study.HoldVersion{{Participant: h.Participant.ID, Hold: hold}}
	return &c
}

func randomRecord(rng *rand.Rand, h *study.History, key study.RecordKey) study.RecordVersion {
	ref := study.VersionRef{Key: key, Version: 1, Modified: randomTime(rng), Ordinal: rng.Int64N(1 << 31), Entered: randomDate(rng)}
	switch rng.IntN(5) {
	case 0:
		ref.Late = true
	case 1:
		ref.Removed = true
	}
	for _, old := range h.Versions {
		if old.Key == key {
			ref.Version = old.Version + 1
		}
	}
	for i := range ref.Hash {
		ref.Hash[i] = byte(rng.Uint32())
	}
	h.Versions = append(h.Versions, ref)
	r := &study.Record{Participant: h.Participant.ID, Form: key.Form, Occurrence: key.Occurrence, Ordinal: ref.Ordinal, Modified: ref.Modified, Entered: ref.Entered,
		Hash: ref.Hash, Removed: ref.Removed, Answers: randomText(rng), Missing: randomText(rng), Findings: randomText(rng), KeyVersion: 1}
	for field := range rng.IntN(3) {
		r.Sealed = append(r.Sealed, study.SealedItem{Field: field - 2, Box: []byte(randomText(rng))})
	}
	return study.RecordVersion{Key: key, Version: ref.Version, Late: ref.Late, Record: r}
}

func randomVisit(rng *rand.Rand, no int32) study.Visit {
	v := study.Visit{No: no, Key: fmt.Sprint("key ", no), Type: rng.IntN(4) - 1, Actual: randomPartial(rng), Planned: randomPartial(rng), Declared: randomPartial(rng),
		Reason: rng.IntN(2) == 0, Modified: randomTime(rng)}
	v.Status = []study.VisitStatus{study.Scheduled, study.Completed, study.Missed, study.NotDone, study.Unscheduled, study.Cancelled}[rng.IntN(6)]
	v.Timing = []study.Timing{"", study.InWindow, study.Early, study.Late, study.Indeterminate, study.NoAnchor, study.NoWindow}[rng.IntN(7)]
	v.Protocol = rng.IntN(2)
	v.Due, v.WindowStart, v.WindowEnd, v.Withheld = randomDate(rng), randomDate(rng), randomDate(rng), rng.IntN(2) == 0
	if v.HasDistance = rng.IntN(2) == 0; v.HasDistance {
		v.FromTarget, v.OutsideWindow = rng.IntN(2000)-1000, rng.IntN(2000)-1000
	}
	v.Told = study.VisitTold{Actual: randomTold(rng), Planned: randomTold(rng), Declared: randomTold(rng)}
	if dated := (study.Told{At: v.Modified.UnixMicro(), Dated: true}); v.Told == (study.VisitTold{}) && !v.Modified.IsZero() {
		v.Told = study.VisitTold{Actual: dated, Planned: dated, Declared: dated} // as of rows stored before it was kept
	}
	return v
}

func randomTold(rng *rand.Rand) study.Told {
	if rng.IntN(3) == 0 {
		return study.Told{}
	}
	return study.Told{At: 1 + rng.Int64N(4e15), Dated: rng.IntN(2) == 0, Landed: rng.Int64N(90), Ordinal: rng.Int64N(90), Precedence: rng.Int32N(3) - 1}
}

func randomDate(rng *rand.Rand) study.Date {
	return []study.Date{study.NoDate, 0, -1, 1, study.Date(rng.IntN(60000) - 30000), -719162, -719163, -800000, 2932896}[rng.IntN(9)]
}

func randomPartial(rng *rand.Rand) study.PartialDate {
	texts := []string{"", "2012", "2012-02", "2012-02-29", "1969-12-31", "1970-01-01", "0001-01-01", "9999-12-31", "1900-02"}
	p, _ := study.ParsePartialDate(texts[rng.IntN(len(texts))])
	return p
}

func randomTime(rng *rand.Rand) time.Time {
	return []time.Time{{}, at("1999-12-31T23:59:59Z"), at("2026-07-31T09:30:00.123456Z"), time.Unix(0, 0).UTC(), at("0044-03-15T12:00:00Z"),
		time.UnixMicro(rng.Int64N(4e15)).UTC()}[rng.IntN(6)]
}

func randomText(rng *rand.Rand) string {
	return []string{"", "R", "site-ä", "a\x1fb\x1e\x1a", "\\N", "line\nbreak\t'\"", "0"}[rng.IntN(7)]
}

// A late version is kept, and is not what is current.
func TestLateVersionsAreHistoryOnly(t *testing.T) {
	s := open(t, amd())
	id := enrol(t, s, "A")[0]
	late := packed(id, 1, "R", 2, "older")
	late.Late = true
	write(t, s, "a", &study.Changes{Records: []study.RecordVersion{packed(id, 1, "R", 1, "newer"), late}})
	h := stored(t, s, id)[0]
	if len(h.Versions) != 2 || h.Versions[0].Late || !h.Versions[1].Late {
		t.Errorf("versions %+v", h.Versions)
	}
	reg, err := s.known("amd-obs")
	if err != nil {
		t.Fatal(err)
	}
	records, err := currents(t.Context(), s.app, reg, []int64{id}, 1<<62)
	if err != nil || len(records[0]) != 1 || records[0][0].Answers != "newer" {
		t.Errorf("current %+v, %v", records, err)
	}
	if op := one[string](t, s, `SELECT op::text FROM research.record_version WHERE version = 2`); op != "h" {
		t.Errorf("op %q", op)
	}
}

func TestQuarantineIsOneRowAndManySightings(t *testing.T) {
	s := open(t, amd())
	rejection := func(item string, ordinal int64) study.SealedRejection {
		return study.SealedRejection{Rejection: study.Rejection{Ordinal: ordinal, Line: ordinal + 1, Site: "site-a", Form: "acuity", Field: "letters", Rule: "range", Records: 1},
			Item: batch("", item, 0).Object.Digest, Box: []byte("sealed"), KeyVersion: 1}
	}
	deliver := func(object string, rejections ...study.SealedRejection) {
		in := begin(t, s, "amd-obs")
		if err := in.Quarantine(t.Context(), "a", rejections); err != nil {
			t.Fatal(err)
		}
		finish(t, in, batch("a", object, 0))
	}
	deliver("1", rejection("x", 1), rejection("y", 2), rejection("y", 2), rejection("x", 3)) // both eyes of row 2, and row 1 again as row 3
	deliver("2", rejection("x", 1))
	if rows, boxes := one[int](t, s, `SELECT count(*) FROM research.quarantine`), one[int](t, s, `SELECT count(*) FROM vault.quarantined_row`); rows != 2 || boxes != 2 {
		t.Errorf("%d rows, %d sealed", rows, boxes)
	}
	if n, records := one[int](t, s, `SELECT count(*) FROM research.quarantine_sighting`), one[int](t, s, `SELECT sum(records) FROM research.quarantine_sighting`); n != 4 || records != 5 {
		t.Errorf("%d sightings of %d records", n, records)
	}
}

// The cursor, the lineage and the audit event are there with the batch, or not at all.
func TestABatchIsRecordedWhole(t *testing.T) {
	s := open(t, amd())
	b := batch("a", "1", day("2026-07-31"))
	b.State, b.Counts = []byte("state"), study.Counts{Read: 5, Mapped: 3, RowsQuarantined: 1, Ignored: 1, Produced: 3, Accepted: 2, Held: 1}
	lost := begin(t, s, "amd-obs")
	if err := lost.Finish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	lost.Rollback(t.Context())
	if state, known, err := s.Cursor(t.Context(), "a"); err != nil || state != nil || len(known) != 0 {
		t.Errorf("cursor %q %v, %v after a rollback", state, known, err)
	}
	in := begin(t, s, "amd-obs")
	finish(t, in, b)
	state, known, err := s.Cursor(t.Context(), "a")
	if err != nil || string(state) != "state" || !reflect.DeepEqual(known, map[string]string{b.Item: "1"}) {
		t.Errorf("cursor %q %v, %v", state, known, err)
	}
	for sql, want := range map[string]int64{
		`SELECT count(*) FROM research.batch WHERE rows_read = 5 AND records_held = 1 AND generation = 1`: 1,
		`SELECT batch_id FROM jobs.item`:                                   in.Batch(),
		`SELECT batch_id FROM vault.object_name`:                           in.Batch(),
		`SELECT count(*) FROM audit.event WHERE action = 'batch.recorded'`: 1,
	} {
		if got := one[int64](t, s, sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
	again := begin(t, s, "amd-obs")
	if same, err := again.Landed(t.Context(), "a", b.Item, b.Object.Digest); err != nil || !same {
		t.Errorf("landed %v, %v", same, err)
	}
	finish(t, again, b)
	if g := one[int](t, s, `SELECT max(generation) FROM research.batch`); g != 2 {
		t.Errorf("generation %d of an object read again", g)
	}
	touched := begin(t, s, "amd-obs")
	b.ItemVersion = "2"
	if err := touched.Know(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := touched.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, s, `SELECT version || ' ' || batch_id FROM jobs.item`); got != fmt.Sprint("2 ", again.Batch()) {
		t.Errorf("an item that was only touched is at version and batch %s, want 2 %d", got, again.Batch())
	}
}

// What of a row is sealed goes to the vault under the key of its record.
func TestSealedValuesGoToTheVault(t *testing.T) {
	s := open(t, amd())
	id := enrol(t, s, "A")[0]
	v := packed(id, 1, "R", 1, "R\x1f44")
	v.Record.KeyVersion, v.Record.Sealed = 3, []study.SealedItem{{Field: 6, Box: []byte("box")}, {Field: study.PrivateReason, Box: []byte("why")}}
	write(t, s, "a", &study.Changes{Records: []study.RecordVersion{v}})
	if got := one[string](t, s, `SELECT string_agg(concat_ws(' ', participant_id, visit_no, occurrence, version, field, key_version, convert_from(box, 'UTF8')), '; ' ORDER BY field) FROM vault.sealed_value`); got != fmt.Sprintf("%d 1 R 1 -1 3 why; %d 1 R 1 6 3 box", id, id) {
		t.Errorf("sealed %s", got)
	}
}
