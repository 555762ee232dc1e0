package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"longitude/study"
)

func newRandomBytes(t *testing.T) io.Reader { return rand.NewChaCha8([32]byte{byte(len(t.Name()))}) }

func testStudy() *study.Study {
	sides := []study.ChoiceItem{{Code: "R"}, {Code: "L"}}
	visit := func(name string, day int) study.VisitType {
		return study.VisitType{Name: name, Day: day, Before: 7, After: 14, HasWindow: true, Required: true,
			Forms: []study.VisitForm{{Form: "va", Critical: true}}}
	}
	return &study.Study{
		Name: "amd", CodePrefix: "AMD", Timezone: "Europe/London", Days: study.Elapsed,
		Enrolment:  study.Enrolment{Kind: "form", Form: "consent"},
		Consent:    study.Consent{Kind: "form", Form: "consent", Field: "consented_on"},
		Deviations: study.DeviationPolicy{LateEntryDays: 14, FormGraceDays: 10, VisitOutOfWindow: "accept"},
		Visits:     []study.VisitType{visit("baseline", 0), visit("month_1", 30), visit("month_3", 90)},
		Forms: []study.Form{
			{Name: "va", RepeatsBy: "eye", Expect: []string{"R", "L"}, Fields: []study.Field{
				{Name: "eye", Type: study.Choice, Choices: sides, Required: true, Class: study.Clinical},
				{Name: "letters", Type: study.Integer, Min: "0", Max: "100", Class: study.Clinical},
				{Name: "notes", Type: study.Text, Class: study.FreeText}}},
			{Name: "consent", Fields: []study.Field{{Name: "consented_on", Type: study.DateType, Class: study.DateClass}}},
			{Name: "ae", Log: true, Fields: []study.Field{{Name: "grade", Type: study.Integer, Required: true, Class: study.Clinical}}},
		},
	}
}

func testSource(dated bool) *study.Source {
	column := func(name string) study.Pick { return study.Pick{Column: name} }
	form := func(name string, fields ...study.FieldMapping) study.FormMapping {
		return study.FormMapping{Form: name, When: column("FORM"), WhenValues: []string{name}, Fields: fields}
	}
	ae := form("ae", study.FieldMapping{Field: "grade", Pick: column("VALUE")})
	ae.Occurrence = column("OCC")
	src := &study.Source{Name: "site-a", Study: "amd", Format: study.FormatSpec{Type: "csv", Delimiter: ",", Encoding: "auto", Header: true},
		Map: study.Mapping{Participant: column("PID"), Namespace: "mrn", Site: study.Pick{Value: "site-a", Const: true},
			Visit: column("VISIT"), VisitBy: "name", VisitDate: column("DATE"), Entered: column("ENTERED"),
			Forms: []study.FormMapping{
				form("va", study.FieldMapping{Field: "eye", Pick: column("OCC")}, study.FieldMapping{Field: "letters", Pick: column("VALUE")},
					study.FieldMapping{Field: "notes", Pick: column("NOTES")}),
				form("consent", study.FieldMapping{Field: "consented_on", Pick: column("DATE")}), ae}}}
	if dated {
		src.Map.Modified = column("MODIFIED")
	}
	return src
}

const header = "PID,FORM,VISIT,DATE,ENTERED,OCC,VALUE,NOTES,MODIFIED\n"

// lives are the rows of a few participants: visits early and late, corrections
// of values and of dates, consent that comes or does not, events, and rows that
// cannot be accepted or are not ours. Every row was modified at a moment of its own.
func lives(rng *rand.Rand) (rows []string) {
	clock := 0
	add := func(format string, args ...any) {
		clock += 1 + rng.IntN(3)
		stamp := time.Date(2026, 2, 1, 0, clock, 0, 0, time.UTC).Format(time.RFC3339)
		rows = append(rows, fmt.Sprintf(format, args...)+","+stamp+"\n")
	}
	for p := range 1 + rng.IntN(5) {
		start, _ := study.NewDate(2026, 1, 1+rng.IntN(28))
		if rng.IntN(4) > 0 {
			for range 1 + rng.IntN(2) {
				at := start - study.Date(rng.IntN(3))
				add("%d,consent,baseline,%s,%s,,,", p, at, at)
			}
		}
		for i, visit := range []string{"baseline", "month_1", "month_3", "extra"} {
			at := start + study.Date([]int{0, 30, 90, 45}[i]+rng.IntN(30)*min(i, 1))
			for _, eye := range []string{"R", "L"} {
				entered := at + study.Date(rng.IntN(20))
				for range rng.IntN(3) {
					add("%d,va,%s,%s,%s,%s,%d,note %d", p, visit, at+study.Date(rng.IntN(2)), entered, eye, 40+rng.IntN(3), rng.IntN(2))
				}
			}
		}
		for range rng.IntN(3) {
			add("%d,ae,,,%s,%d,%d,", p, start, 1+rng.IntN(2), 1+rng.IntN(3))
		}
		switch rng.IntN(7) {
		case 0:
			add("%d,va,baseline,2026-02-31,,R,40,", p)
		case 1:
			add("%d,va,baseline,2026-01-03,,X,40,", p)
		case 2:
			add("%d,ae,,,,3,,", p)
		case 3:
			add("%d,other,,,,,,", p)
		case 4:
			add("\u200b%d,ae,,,,1,1,", p) // no participant has such an identifier
		case 5:
			rows = append(rows, fmt.Sprintf("%d,va,baseline\n", p))
		}
	}
	return rows
}

// deliveries deals rows out to files, in any order, some of them twice.
func deliveries(rng *rand.Rand, rows []string) (files []file) {
	texts := make([]string, 1+rng.IntN(4))
	for _, i := range rng.Perm(len(rows)) {
		n := rng.IntN(len(texts))
		texts[n] += rows[i]
		if rng.IntN(10) == 0 {
			texts[rng.IntN(len(texts))] += rows[i]
		}
	}
	for i, text := range texts {
		files = append(files, file{fmt.Sprintf("f%d.csv", i), header + text})
	}
	return files
}

func rowsIn(files []file) (n int64) {
	for _, f := range files {
		n += int64(strings.Count(f.text, "\n")) - 1
	}
	return n
}

// stored counts the versions that were current when they arrived, those that
// were late, and the records that quarantine stands for.
func (m *memory) stored() (current, late, quarantined int64) {
	for _, versions := range m.versions {
		for _, v := range versions {
			if v.Late {
				late++
			} else {
				current++
			}
		}
	}
	for _, n := range m.quarantine {
		quarantined += int64(n)
	}
	return current, late, quarantined
}

// factAt is the visit's number in a packed fact.
var factAt = regexp.MustCompile(`/[0-9]+/`)

// everything writes down what is current, naming participants by code and visits
// by key, so that neither the order of arrival nor a number shows.
func (m *memory) everything() (out []string) {
	for code, id := range m.numbers {
		h := m.history(id)
		key := map[int32]string{0: "-"}
		for _, v := range h.Visits {
			key[v.No] = v.Key
			out = append(out, fmt.Sprint(code, " visit ", v.Key, v.Type, v.Actual, v.Reason, v.Modified, v.Verdict))
		}
		h.Participant.ID, h.Participant.Told = 0, ""
		h.Participant.Facts = factAt.ReplaceAllStringFunc(h.Participant.Facts, func(at string) string {
			no, _ := strconv.Atoi(strings.Trim(at, "/"))
			return "/" + key[int32(no)] + "/"
		})
		out = append(out, fmt.Sprint(code, " participant ", h.Participant))
		current := map[study.RecordKey]study.VersionRef{}
		for _, v := range h.Versions {
			if !v.Late {
				current[v.Key] = v
			}
		}
		for k, v := range current {
			if v.Removed {
				continue
			}
			out = append(out, fmt.Sprint(code, " record ", k.Form, key[k.VisitNo], k.Occurrence, v.Hash, v.Modified))
		}
		for _, d := range h.Deviations {
			if d.State != study.Resolved { // that it was once open depends on the order
				out = append(out, fmt.Sprint(code, " deviation ", d.Code, key[d.VisitNo], d.Detail, d.Kind, d.State, d.Evidence))
			}
		}
		for _, hold := range h.Holds {
			out = append(out, fmt.Sprint(code, " hold ", hold.Key.Form, key[hold.Key.VisitNo], hold.Key.Occurrence, hold.Code))
		}
	}
	slices.Sort(out)
	return out
}

func sameLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("%s: also %s", what, line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%s: lacks %s", what, line)
		}
	}
	t.FailNow()
}

const deals = 120

// Whatever comes, dated or not, every row and every record is accounted for, and
// what the counts say is what is stored.
func TestEveryRowIsAccountedFor(t *testing.T) {
	rng := newRandom(t)
	for n := range deals {
		b := newBench(t, testStudy(), testSource(n%2 == 0))
		files := deliveries(rng, lives(rng))
		out := b.sync(files...)
		rows, records := out.Counts.Unaccounted()
		if rows != 0 || records != 0 || out.Counts.Read != rowsIn(files) || out.Objects != len(files) {
			t.Fatalf("%d rows in %d files: %+v", rowsIn(files), len(files), out)
		}
		current, late, quarantined := b.store.m.stored()
		if c := out.Counts; current != c.Accepted+c.Held || late != c.Superseded || quarantined != c.Quarantined {
			t.Fatalf("%d current and %d late versions, %d quarantined records stored: %+v", current, late, quarantined, c)
		}
		var leaves int64
		for _, batch := range b.store.m.batches {
			leaves += batch.Leaves
		}
		if len(b.drop.acks) != len(files) || leaves == 0 && out.Counts.Produced > 0 {
			t.Fatalf("%d acknowledged, %d leaves", len(b.drop.acks), leaves)
		}
	}
}

// The same files again add nothing: not under the same names, where they are not
// even read, and not under other names, or re-sorted, where every row is looked at.
func TestRunningAgainAddsNothing(t *testing.T) {
	rng := newRandom(t)
	for range deals {
		b := newBench(t, testStudy(), testSource(true))
		files := deliveries(rng, lives(rng))
		b.sync(files...)
		before := b.store.m
		if out := b.sync(files...); out.Objects+out.Known != 0 || b.store.m != before {
			t.Fatalf("the same files: %+v", out)
		}
		again := make([]file, len(files))
		for i, j := range rng.Perm(len(files)) {
			rows := strings.SplitAfter(strings.TrimPrefix(files[j].text, header), "\n")
			rng.Shuffle(len(rows)-1, func(a, b int) { rows[a], rows[b] = rows[b], rows[a] })
			again[i] = file{"again-" + files[j].name, header + strings.Join(rows, "")}
		}
		out := b.sync(again...)
		if c := out.Counts; c.Accepted+c.Superseded+c.Held != 0 || out.Objects != len(files) {
			t.Fatalf("the same rows under other names: %+v", out)
		}
		sameLines(t, "the same rows under other names", b.store.m.everything(), before.everything())
		if len(b.store.m.quarantine) != len(before.quarantine) {
			t.Fatalf("%d things in quarantine, %d before", len(b.store.m.quarantine), len(before.quarantine))
		}
	}
}

// Without modification times the order of landing decides; still, the object
// that came last says nothing new when it comes again.
func TestUndatedObjectAgainAddsNothing(t *testing.T) {
	rng := newRandom(t)
	for range deals {
		b := newBench(t, testStudy(), testSource(false))
		files := deliveries(rng, lives(rng))
		b.sync(files...)
		before := b.store.m
		last := files[len(files)-1]
		out := b.sync(file{"again.csv", last.text})
		if c := out.Counts; c.Accepted+c.Superseded+c.Held != 0 {
			t.Fatalf("%+v", c)
		}
		sameLines(t, "the last object again", b.store.m.everything(), before.everything())
	}
}

// Where the source says when each row was modified, the order in which rows
// arrive, and in which files, does not show in what is current.
func TestOrderOfArrivalDoesNotShow(t *testing.T) {
	rng := newRandom(t)
	asOf, _ := study.NewDate(2026, 7, 1)
	for range deals {
		rows := lives(rng)
		var first []string
		for range 3 {
			b := newBench(t, testStudy(), testSource(true))
			for _, f := range deliveries(rng, rows) {
				b.sync(f)
			}
			b.rejudge(asOf)
			if first == nil {
				first = b.store.m.everything()
			}
			sameLines(t, "in another order", b.store.m.everything(), first)
			batches := len(b.store.m.batches)
			if b.rejudge(asOf); len(b.store.m.batches) != batches {
				t.Fatal("judging again on the same day records something")
			}
		}
	}
}

// broken is a landing that cannot be read where the object holds a word.
type broken struct {
	lander
	word string
}

func (l *broken) Open(ctx context.Context, o study.Object) (io.ReadCloser, error) {
	if bytes.Contains(l.lander.objects[o.Digest], []byte(l.word)) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(l.lander.objects[o.Digest]), iotest.ErrReader(errors.New("lost")))), nil
	}
	return l.lander.Open(ctx, o)
}

// A failing object leaves nothing behind, is not acknowledged, and stops what
// comes after it; the next run starts with it.
func TestFailureRecordsNothing(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	landing := &broken{newLander(), "2,consent"}
	b.feed.Landing = landing
	consent := func(id int) string {
		return fmt.Sprintf("%s%d,consent,baseline,2026-01-01,2026-01-01,,,,2026-01-01T00:00:00Z\n", header, id)
	}
	good, bad, after := file{"1.csv", consent(1)}, file{"2.csv", consent(2)}, file{"3.csv", consent(3)}
	b.drop.files = []file{good, bad, after}
	out, err := b.ingester.Sync(t.Context(), b.feed, "test")
	if codeOf(err) != "csv.read" || out.Objects != 1 || !slices.Equal(b.drop.acks, []string{"1.csv"}) {
		t.Fatalf("%+v, %v, acknowledged %q", out, err, b.drop.acks)
	}
	if got := slices.Sorted(maps.Keys(b.store.m.known)); !slices.Equal(got, []string{"1.csv"}) || len(b.store.m.numbers) != 1 {
		t.Errorf("durable: %q", got)
	}
	landing.word = "nothing"
	if out := b.sync(good, bad, after); out.Objects != 2 || len(b.store.m.numbers) != 3 {
		t.Errorf("after the repair: %+v", out)
	}
}

// The same bytes under a new time are known, not recorded; bytes that go back to
// what they were are recorded.
func TestSameBytesAgain(t *testing.T) {
	b := newBench(t, testStudy(), testSource(false))
	row := func(letters int) string {
		return fmt.Sprintf("%s1,va,baseline,2026-01-01,,R,%d,,\n", header, letters)
	}
	b.sync(file{"f.csv", row(40)})
	b.store.m.known["f.csv"] = "touched"
	if out := b.sync(file{"f.csv", row(40)}); out.Known != 1 || out.Objects != 0 || len(b.store.m.batches) != 1 {
		t.Errorf("touched: %+v", out)
	}
	b.sync(file{"f.csv", row(41)})
	if out := b.sync(file{"f.csv", row(40)}); out.Objects != 1 || out.Counts.Held != 1 || len(b.store.m.batches) != 3 {
		t.Errorf("changed back: %+v", out)
	}
}
