package transform

import (
	"strconv"
	"testing"
	"time"

	"longitude/study"
)

// A wrong column can make one participant of a whole object: that takes time in
// proportion to its rows, whatever rule they break.
func TestManyRecordsOfOneParticipant(t *testing.T) {
	const n = 10_000
	s, asOf := amd(), date(t, "2026-01-02")
	patient(s)
	identifying(s)
	news := func(version byte) []study.Record {
		rows := make([]study.Record, n)
		for i := range rows {
			rows[i] = row("", eventForm, study.PartialDate{})
			rows[i].Occurrence, rows[i].Hash = strconv.Itoa(i), [16]byte{byte(i), byte(i >> 8), version}
			rows[i].Change, rows[i].Modified = study.ChangeUnexplained, time.Unix(int64(version), 0)
			rows[i].Facts = []study.Fact{{Index: 1, Value: []string{"F", "M"}[i%2]}}
		}
		return rows
	}
	count := func(j study.Judgement, code string) (found int) {
		for _, d := range j.Deviations {
			if d.Code == code && d.State == study.Open {
				found++
			}
		}
		return found
	}
	began := time.Now()
	h, j := settled(s, asOf, news(1), news(2))
	if changed := count(j, study.ChangeWithoutReason); changed != n || len(j.Holds) != n/2 {
		t.Errorf("%d changes, %d held for a contradiction", changed, len(j.Holds))
	}
	h.Locks = []study.Lock{{ID: 1}}
	if edited := count(NewRules(s).Judge(h, news(3), asOf), study.EditedAfterLock); edited != n {
		t.Errorf("%d edited after the lock", edited)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("judging took %s", took)
	}
}
