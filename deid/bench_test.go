package deid

import (
	"fmt"
	"testing"

	"longitude/study"
)

// BenchmarkDoorTwo takes records of a form with twenty classified fields through
// door 2: one for each eye at each of eight visits of a participant.
func BenchmarkDoorTwo(b *testing.B) {
	for _, dates := range []string{"study_day", "shift"} {
		b.Run(dates, func(b *testing.B) {
			batch := wideBatch(16_384)
			r := testRecipient(b, study.DeidPolicy{Profile: "expert", Dates: dates}, "main")
			for b.Loop() {
				if err := r.Survey([]*study.Batch{batch}); err != nil {
					b.Fatal(err)
				}
				if _, err := r.Apply(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(batch.Rows)/b.Elapsed().Seconds()/1e6, "Mrecords/s")
		})
	}
}

// wideBatch has twenty fields beside the ids of participant, visit and record.
func wideBatch(rows int) *study.Batch {
	t := &study.Table{Name: "wide", Key: []string{"participant_id", "record_id"}, Columns: []study.Column{
		{Name: "participant_id", Kind: study.TextKind, Class: study.ParticipantKey},
		{Name: "visit_id", Kind: study.TextKind, Class: study.OtherKey},
		{Name: "record_id", Kind: study.TextKind, Class: study.OtherKey},
	}}
	field := func(name string, kind study.Kind, class study.Class, unit string) {
		t.Columns = append(t.Columns, study.Column{Name: name, Kind: kind, Class: class, Unit: unit, Nullable: true})
	}
	for i := range 6 {
		field(fmt.Sprint("result_", i), study.DecimalKind, study.Clinical, "mmol/L")
	}
	for i := range 5 {
		field(fmt.Sprint("code_", i), study.TextKind, study.Clinical, "")
	}
	for i := range 3 {
		field(fmt.Sprint("date_", i), study.DateKind, study.DateClass, "")
	}
	field("age", study.Int64Kind, study.Quasi, "years")
	field("years_since_onset", study.Int64Kind, study.Clinical, "years")
	field("sex", study.TextKind, study.Quasi, "")
	field("flag", study.BoolKind, study.Sensitive, "")
	field("surname", study.TextKind, study.DirectIdentifier, "")
	field("comment", study.TextKind, study.FreeText, "")
	batch := &study.Batch{Table: t, Rows: rows, Vectors: make([]study.Vector, len(t.Columns))}
	for i := range rows {
		person, visit := i/16, i/2
		batch.Participants, batch.Anchors = append(batch.Participants, int64(person)), append(batch.Anchors, 20_000)
		for c, column := range t.Columns {
			v := &batch.Vectors[c]
			switch {
			case c == 0:
				v.AppendText(fmt.Sprintf("AMD-%020d", person))
			case c == 1:
				v.AppendText(fmt.Sprintf("AMD-%020d/%d", person, visit))
			case c == 2:
				v.AppendText(fmt.Sprintf("AMD-%020d/%d/wide/%d", person, visit, i))
			case column.Kind == study.TextKind:
				v.AppendText("some code")
			case column.Kind == study.DateKind:
				v.AppendInt(int64(20_000 + visit%400))
			case column.Kind == study.BoolKind:
				v.AppendInt(int64(i & 1))
			default:
				v.AppendInt(int64(i % 40))
			}
		}
	}
	return batch
}
