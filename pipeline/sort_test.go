package pipeline

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"longitude/study"
)

func randomText(rng *rand.Rand) string {
	alphabet := []rune("ab\x1f\x1e\x1a,=\"\n é漢\x00")
	text := make([]rune, rng.IntN(12))
	for i := range text {
		text[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return string(text)
}

func randomDate(rng *rand.Rand) study.Date {
	if rng.IntN(4) == 0 {
		return study.NoDate
	}
	return study.Date(rng.IntN(40_000) - 20_000)
}

func randomPartial(rng *rand.Rand) study.PartialDate {
	text := fmt.Sprintf("%04d-%02d-%02d", 1900+rng.IntN(200), 1+rng.IntN(12), 1+rng.IntN(28))
	p, _ := study.ParsePartialDate(text[:[]int{0, 4, 7, 10}[rng.IntN(4)]])
	return p
}

func randomRecord(rng *rand.Rand) study.Record {
	r := study.Record{
		Participant: 1 + rng.Int64N(20), Ordinal: 1 + rng.Int64N(1000), Line: rng.Int64(), Site: randomText(rng),
		Form: rng.IntN(5), Occurrence: randomText(rng), Entered: randomDate(rng), Withdrawn: randomDate(rng), Consented: randomDate(rng),
		Visit: study.VisitRef{Key: randomText(rng), Type: rng.IntN(5) - 1, Reason: rng.IntN(2) == 0, Unsaid: study.Unsaid(rng.IntN(16)),
			Actual: randomPartial(rng), Planned: randomPartial(rng), Declared: randomPartial(rng)},
		Answers: randomText(rng), Missing: randomText(rng), Findings: randomText(rng), KeyVersion: 1 + rng.IntN(3),
		Status: study.ParticipantStatus(randomText(rng)), StatusOn: randomDate(rng), Change: study.ChangeReason(rng.IntN(3)),
		Removed: rng.IntN(2) == 0, Landed: rng.Int64N(1000), Precedence: rng.Int32N(5) - 2,
	}
	for range rng.IntN(3) {
		r.Facts = append(r.Facts, study.Fact{Index: rng.IntN(5), Value: randomText(rng)})
	}
	for i := range r.Hash {
		r.Hash[i] = byte(rng.Uint32())
	}
	if rng.IntN(3) > 0 {
		r.Modified = time.UnixMicro(rng.Int64N(4e15) - 2e15).UTC()
	}
	if rng.IntN(2) == 0 {
		r.SealedRaw = []byte("row" + randomText(rng))
	}
	if rng.IntN(2) == 0 {
		r.Part = &study.Part{Extent: study.Extent(rng.IntN(3))}
		for range rng.IntN(3) {
			r.Part.Digests = append(r.Part.Digests, study.SealedDigest{Field: rng.IntN(10) - 3, Digest: study.Digest{byte(rng.IntN(256))}})
		}
	}
	for range rng.IntN(3) {
		r.Sealed = append(r.Sealed, study.SealedItem{Field: rng.IntN(10) - 3, Box: []byte("box" + randomText(rng))})
	}
	return r
}

func newRandom(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// groupsOf sorts records within a budget, checks that every participant comes
// once, and returns the order.
func groupsOf(t *testing.T, dir string, budget int, records []study.Record) (out []study.Record, runs int) {
	t.Helper()
	s := newSorter(dir, budget)
	defer s.close()
	for _, r := range records {
		if err := s.add(r); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[int64]bool{}
	err := s.groups(func(participant int64, group []study.Record) error {
		if seen[participant] || len(group) == 0 {
			t.Errorf("participant %d comes twice, or with %d records", participant, len(group))
		}
		seen[participant] = true
		for i := range group {
			if group[i].Participant != participant {
				t.Errorf("a record of participant %d in the group of %d", group[i].Participant, participant)
			}
		}
		out = append(out, group...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, len(s.runs)
}

// Spilled or not, the order and every field of every record are the same, and
// nothing stays in the folder.
func TestSortSpillsLosslessly(t *testing.T) {
	rng, dir := newRandom(t), t.TempDir()
	for round := range 30 {
		records := make([]study.Record, rng.IntN(400))
		for i := range records {
			records[i] = randomRecord(rng)
			if round%2 == 0 { // a row feeds several forms, and some of them twice
				records[i].Participant, records[i].Ordinal, records[i].Form = int64(i%2), int64(i/40), i%3
			}
		}
		held, none := groupsOf(t, dir, 1<<30, records)
		spilled, runs := groupsOf(t, dir, 10_000, records)
		if none != 0 || len(records) > 200 && runs < 2 {
			t.Fatalf("%d runs in memory, %d on disk", none, runs)
		}
		if len(held) != len(records) || len(held) > 0 && !reflect.DeepEqual(held, spilled) {
			t.Fatalf("%d records: what was spilled differs from what was held", len(records))
		}
		if !slices.IsSortedFunc(held, func(a, b study.Record) int {
			return order{a.Participant, a.Ordinal, int32(a.Form)}.compare(order{b.Participant, b.Ordinal, int32(b.Form)})
		}) {
			t.Fatal("not in order")
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

// No field of study.Record is forgotten by the format of spilled runs: each, set
// alone, comes back.
func TestEveryFieldSurvivesSpilling(t *testing.T) {
	rng := newRandom(t)
	var fields func(path []int, typ reflect.Type)
	fields = func(path []int, typ reflect.Type) {
		for i := range typ.NumField() {
			at, f := append(slices.Clone(path), i), typ.Field(i)
			if f.Type == reflect.TypeFor[study.VisitRef]() {
				fields(at, f.Type)
				continue
			}
			full, zero := randomRecord(rng), study.Record{}
			for reflect.ValueOf(full).FieldByIndex(at).IsZero() {
				full = randomRecord(rng)
			}
			reflect.ValueOf(&zero).Elem().FieldByIndex(at).Set(reflect.ValueOf(full).FieldByIndex(at))
			got, _ := groupsOf(t, t.TempDir(), 1, []study.Record{zero})
			if len(got) != 1 || !reflect.DeepEqual(got[0], zero) {
				t.Errorf("field %s does not survive", f.Name)
			}
		}
	}
	fields(nil, reflect.TypeFor[study.Record]())
}

// Without a folder to spill to, sorting fails with what to do, and without a path.
func TestSpillWithoutRoom(t *testing.T) {
	dir := t.TempDir() + "/gone"
	err := newSorter(dir, 1).add(study.Record{})
	if codeOf(err) != "ingest.temp_failed" || !study.IsTemporary(err) || bytes.Contains([]byte(err.Error()), []byte(dir)) {
		t.Errorf("%v", err)
	}
}
