package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

// moment is the instant of a letter's clock reading: 0 is "the source does not say".
func moment(n int) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Date(2026, 1, n, 12, 0, 0, 0, time.UTC)
}

// word is a version or an arrival written as a word: content, then the day of
// modification if the source gives one, then #n for the object that landed n-th,
// then ! for a removal or ~ for a version that was late when it arrived. "a1 b2#3
// a3~" are three.
type word struct {
	hash          [16]byte
	modified      time.Time
	landed        int64
	removed, late bool
}

func parse(text string) (w word) {
	day := 0
	text, w.removed = strings.CutSuffix(text, "!")
	text, w.late = strings.CutSuffix(text, "~")
	_, _ = fmt.Sscanf(text[1:], "%d", &day)
	if _, after, ok := strings.Cut(text, "#"); ok {
		_, _ = fmt.Sscanf(after, "%d", &w.landed)
	}
	w.hash, w.modified = [16]byte{text[0]}, moment(day)
	return w
}

func storedVersions(words string) (out []study.VersionRef) {
	for i, text := range strings.Fields(words) {
		w := parse(text)
		out = append(out, study.VersionRef{Version: int32(i + 1), Hash: w.hash, Modified: w.modified, Removed: w.removed, Late: w.late, Landed: w.landed, Ordinal: 1})
	}
	return out
}

func arriving(words string) (out []study.Record) {
	for i, text := range strings.Fields(words) {
		w := parse(text)
		out = append(out, study.Record{Ordinal: int64(i + 1), Hash: w.hash, Modified: w.modified, Removed: w.removed, Landed: w.landed})
	}
	return out
}

// outcomes writes what became of each arrival: = nothing new, a number the
// version it is stored as, with ~ where it is history only.
func outcomes(all []arrival) string {
	var words []string
	for _, a := range all {
		word := "="
		if a.version > 0 {
			word = fmt.Sprint(a.version)
			if !a.current {
				word += "~"
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestWeigh(t *testing.T) {
	for _, c := range []struct{ what, stored, news, want string }{
		{"first seen", "", "a", "1"},
		{"unchanged", "a", "a", "="},
		{"correction", "a", "b", "2"},
		{"changes back", "a b", "a", "3"},
		{"there and back in one object", "a", "b a", "2~ 3"},
		{"there and back, delivered again", "a b a", "b a", "= ="},
		{"duplicate row", "", "a a", "1 ="},
		{"duplicate of what is stored", "a", "a a", "= ="},
		{"a sequence, delivered again", "a b c", "b c", "= ="},
		{"the whole sequence, delivered again", "a b c", "a b c", "= = ="},
		{"a sequence with a duplicate, delivered again", "a b", "a a b", "= = ="},
		{"not the newest of the sequence", "a b c", "b", "4"},
		{"back after removal", "a a!", "a", "3"},

		{"dated, unchanged", "a1", "a1", "="},
		{"dated correction", "a1", "b2", "2"},
		{"dated, changes back", "a1 b2", "a3", "3"},
		{"late older version", "b2", "a1", "2~"},
		{"late older version, delivered again", "b2 a1~", "a1", "="},
		{"old version, delivered again", "a1 b2", "a1", "="},
		{"both, delivered again in the other order", "a1 b2", "b2 a1", "= ="},
		{"touched, not changed", "a1", "a2", "2"},
		{"same moment, other content: the later row", "a1", "b1", "2"},
		{"same moment, changes back", "a1 b1", "a1", "3"},
		{"same moment, delivered again", "a1 b1", "a1 b1", "= ="},
		{"newer before older in one object", "", "b2 a1", "1 2~"},
		{"older before newer in one object", "", "a1 b2", "1~ 2"},
		{"dated duplicate row", "", "a1 a1", "1 ="},
		{"newer, late, then a correction", "b2 a1~", "c3", "3"},
		{"stored against their order, delivered so again", "b2~ a1", "b2 a1", "3 ="},
		{"between two stored versions", "a1 c3", "b2", "3~"},
		{"dated again after removal", "a1 a2!", "a1", "="},

		{"a date where there was none", "a", "b1", "2"},
		{"no date where there was one: landing decides", "a1", "b", "2"},
		{"no date, same content", "a1", "a", "="},

		{"removal", "a", "x!", "2"},
		{"removal of what is not there", "", "x!", "="},
		{"removal of what is removed", "a x!", "y!", "="},
		{"removed and given again in one object", "a", "x! a", "2~ 3"},
		{"the same, delivered again", "a x! a", "x! a", "= ="},
		{"given and removed in one object", "", "a x!", "1~ 2"},
		{"dated removal", "a1", "x2!", "2"},
		{"removal from before what is current", "b3", "x2!", "="},
		{"from before the removal", "a1 x3!", "b2", "3~"},

		{"read again, unchanged", "a#1 b#2", "a#1", "="},
		{"read again, otherwise: history", "a#1 b#2", "c#1", "3~"},
		{"read again, otherwise, twice", "a#1 b#2 c#1~", "c#1", "="},
		{"read again, the newest: current", "a#1 b#2", "c#2", "3"},
		{"read again, the newest, twice", "a#1 b#2 c#2", "c#2", "="},
		{"read again and back", "a#1 b#1", "a#1", "3"},
		{"read again under later modification times", "a1#2", "b1#1", "2~"},
		{"read again, modified later than what landed later", "a1#2", "b3#1", "2"},
		{"read again, where a later object removed it", "a#1 x#2!", "a#1", "="},
		{"read again, where reading it again removed it", "a#1 x#1!", "a#1", "3"},
		{"a new object says what reading again made history", "a#1 b#2 c#1~", "c", "4"},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := arrivals(storedVersions(c.stored), arriving(c.news), make([]int32, 9), nil)
			if outcomes(got) != c.want {
				t.Errorf("stored %q, arriving %q: %s, want %s", c.stored, c.news, outcomes(got), c.want)
			}
		})
	}
}

// Records of different keys do not touch each other, and what a policy blocks is
// nobody's arrival.
func TestArrivalsByKey(t *testing.T) {
	news := []study.Record{
		{Form: 1, Occurrence: "L", Hash: [16]byte{1}}, {Form: 1, Occurrence: "R", Hash: [16]byte{1}},
		{Form: 0, Occurrence: "R", Hash: [16]byte{1}}, {Form: 1, Occurrence: "R", Hash: [16]byte{2}},
		{Form: 1, Occurrence: "R", Hash: [16]byte{3}},
	}
	visits, blocked := []int32{1, 1, 0, 2, 1}, []string{"", "", "", "", "visit_out_of_window"}
	stored := []study.VersionRef{
		{Key: study.RecordKey{Form: 1, VisitNo: 2, Occurrence: "R"}, Version: 1, Hash: [16]byte{9}},
		{Key: study.RecordKey{Form: 1, VisitNo: 1, Occurrence: "R"}, Version: 1, Hash: [16]byte{1}},
	}
	got := map[study.RecordKey]int32{}
	for _, a := range arrivals(stored, news, visits, blocked) {
		if _, twice := got[a.key]; twice {
			t.Errorf("%v arrives twice", a.key)
		}
		got[a.key] = a.version
	}
	want := map[study.RecordKey]int32{{Form: 1, VisitNo: 1, Occurrence: "L"}: 1, {Form: 1, VisitNo: 1, Occurrence: "R"}: 0,
		{Form: 0, Occurrence: "R"}: 1, {Form: 1, VisitNo: 2, Occurrence: "R"}: 2}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A verdict that storage holds already adds nothing; what differs is added, and a
// hold that is gone is ended.
func TestDifference(t *testing.T) {
	key := func(n int32) study.RecordKey { return study.RecordKey{Form: 1, VisitNo: n} }
	h := study.History{
		Participant: study.Participant{ID: 7, Site: "a"},
		Visits:      []study.Visit{{No: 1, Key: "baseline", Modified: moment(1)}, {No: 2, Key: "month_1"}},
		Deviations:  []study.Deviation{{DeviationKey: study.DeviationKey{Code: study.VisitMissed, VisitNo: 2}, State: study.Open}},
		Holds:       []study.Hold{{Key: key(1), Code: study.ConsentMissing}, {Key: key(2), Code: study.ConsentMissing}},
	}
	same := study.Judgement{Participant: h.Participant, Visits: slices.Clone(h.Visits), Deviations: h.Deviations, Holds: h.Holds}
	same.Visits[0].Modified = h.Visits[0].Modified.In(time.FixedZone("elsewhere", 3600))
	var none study.Changes
	difference(&h, &same, &none)
	if fmt.Sprint(none) != fmt.Sprint(study.Changes{}) {
		t.Errorf("the same verdict adds %+v", none)
	}
	var some study.Changes
	other := study.Judgement{Participant: study.Participant{ID: 7, Site: "b"},
		Visits: []study.Visit{h.Visits[0], {No: 2, Key: "month_1", Verdict: study.Verdict{Status: study.Missed}}, {No: 3, Key: "month_3"}},
		Deviations: []study.Deviation{{DeviationKey: h.Deviations[0].DeviationKey, State: study.Resolved},
			{DeviationKey: study.DeviationKey{Code: study.FormMissing, VisitNo: 1}, State: study.Open}},
		Holds: []study.Hold{{Key: key(2), Code: study.AfterWithdrawal}, {Key: key(3), Code: study.ConsentMissing}}}
	difference(&h, &other, &some)
	if len(some.Participants) != 1 || len(some.Deviations) != 2 || len(some.Visits) != 2 || some.Visits[0].No != 2 || some.Visits[1].No != 3 {
		t.Errorf("another verdict adds %+v", some)
	}
	holds := map[int32]string{}
	for _, hold := range some.Holds {
		holds[hold.Key.VisitNo] = hold.Code
	}
	if len(some.Holds) != 3 || holds[1] != "" || holds[2] != study.AfterWithdrawal || holds[3] != study.ConsentMissing {
		t.Errorf("holds %+v", some.Holds)
	}
}

func TestBalanced(t *testing.T) {
	good := study.Counts{Read: 6, Mapped: 3, RowsQuarantined: 2, Ignored: 1, Produced: 15, Accepted: 5, Unchanged: 4, Superseded: 3, Quarantined: 2, Held: 1}
	if err := balanced("site-a", good); err != nil {
		t.Errorf("balanced counts: %v", err)
	}
	for _, lose := range []func(*study.Counts){
		func(c *study.Counts) { c.Read++ }, func(c *study.Counts) { c.Ignored++ }, func(c *study.Counts) { c.Accepted-- },
		func(c *study.Counts) { c.Held++ }, func(c *study.Counts) { c.Produced-- },
	} {
		c := good
		lose(&c)
		if err := balanced("site-a", c); codeOf(err) != "ingest.unbalanced" {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
