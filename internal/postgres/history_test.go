package postgres

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"longitude/study"
)

// Whoever else is asked for, and in whatever order, the same is read of a
// participant: a range of numbers and a list of them are read in different ways.
func TestHistoriesDoNotDependOnWhoElseIsAsked(t *testing.T) {
	s := open(t, amd())
	codes := make([]string, 40)
	for i := range codes {
		codes[i] = fmt.Sprintf("AMD-%d", i)
	}
	ids := enrol(t, s, codes...)
	random := rand.New(rand.NewPCG(1, 2))
	for batch := range 3 {
		in := begin(t, s, "amd-obs")
		var c study.Changes
		for _, id := range ids {
			for visit := range int32(1 + random.IntN(3)) {
				c.Records = append(c.Records, packed(id, visit+1, "R", int32(batch+1), fmt.Sprint(id, visit, batch)), packed(id, visit+1, "", int32(batch+1), "x"))
				c.Visits = append(c.Visits, study.VisitVersion{Participant: id, Visit: study.Visit{No: visit + 1, Key: fmt.Sprint("v", visit), Type: -1,
					Actual: study.ExactDate(day("2026-03-01")), Verdict: study.Verdict{Status: study.Completed, Due: study.NoDate, WindowStart: day("2026-02-01"), WindowEnd: study.NoDate,
						HasDistance: true, FromTarget: -int(id), OutsideWindow: batch}}})
			}
			c.Participants = append(c.Participants, study.Participant{ID: id, Site: fmt.Sprint("site ", batch), Consented: study.NoDate, Withdrawn: day("2026-04-01"), StatusOn: study.NoDate})
			c.Deviations = append(c.Deviations, study.DeviationVersion{Participant: id, Deviation: study.Deviation{DeviationKey: study.DeviationKey{Code: study.LateEntry, VisitNo: 1},
				Kind: study.IsDeviation, State: study.Open, Evidence: fmt.Sprint(batch)}})
			c.Holds = append(c.Holds, study.HoldVersion{Participant: id, Hold: study.Hold{Key: study.RecordKey{Form: acuityForm, VisitNo: 1}, Code: study.ConsentMissing}})
		}
		if err := in.Write(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
		finish(t, in, batchOf("drop", fmt.Sprint(batch)))
	}
	all := stored(t, s, ids...)
	for range 20 {
		asked := slices.Clone(ids)
		random.Shuffle(len(asked), func(a, b int) { asked[a], asked[b] = asked[b], asked[a] })
		asked = asked[:1+random.IntN(len(asked))]
		for i, h := range stored(t, s, asked...) {
			if want := all[asked[i]-ids[0]]; !reflect.DeepEqual(h, want) {
				t.Fatalf("of %d participants the %dth: %+v, alone %+v", len(asked), i, h, want)
			}
		}
	}
	if h := all[7]; len(h.Visits) == 0 || h.Participant.Site != "site 2" || h.Participant.Withdrawn != day("2026-04-01") || len(h.Deviations) != 1 || h.Deviations[0].Evidence != "2" ||
		len(h.Holds) != 1 || h.Visits[0].FromTarget != -int(ids[7]) || h.Visits[0].OutsideWindow != 2 || h.Versions[0].Key.Occurrence != "" {
		t.Errorf("%+v", h)
	}
	if len(stored(t, s)) != 0 {
		t.Error("nobody has a history")
	}
}
