package transform_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"longitude/study"
	"longitude/transform"
	"longitude/transform/formats/csv"
)

// BenchmarkMap is the way from bytes to drafts of the vital signs of the standard
// workload: twelve fields, eight visits, one value in twenty missing.
func BenchmarkMap(b *testing.B) {
	const participants, visits = 4000, 8
	s, src := vitalSigns(visits)
	in := vitalSignsOf(participants, visits)
	mapper, problems := transform.NewMapper(s, src)
	if problems != nil {
		b.Fatal(problems)
	}
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	var out transform.Mapped
	for b.Loop() {
		total := 0
		for rows, err := range (csv.Format{}).Decode(context.Background(), src.Format, bytes.NewReader(in)) {
			if err != nil {
				b.Fatal(err)
			}
			if rows.First == 1 {
				if err := mapper.Bind(rows.Columns); err != nil {
					b.Fatal(err)
				}
			}
			out.Reset()
			mapper.Map(rows, &out)
			total += len(out.Drafts)
		}
		if total != participants*visits {
			b.Fatal(total)
		}
	}
	b.ReportMetric(float64(participants*visits)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

var vitalFields = []struct {
	name  string
	tenth bool
	codes []string
}{{name: "sysbp"}, {name: "diabp"}, {name: "pulse"}, {name: "resp"}, {name: "temp", tenth: true}, {name: "weight", tenth: true}, {name: "height"},
	{name: "spo2"}, {name: "position", codes: []string{"SIT", "SUP", "STD"}}, {name: "location", codes: []string{"ARM", "LEG"}},
	{name: "side", codes: []string{"L", "R"}}, {name: "device", codes: []string{"A1", "B2", "C3"}}}

func vitalSigns(visits int) (*study.Study, *study.Source) {
	form, fed := study.Form{Name: "vs"}, study.FormMapping{Form: "vs"}
	for _, v := range vitalFields {
		f := study.Field{Name: v.name, Type: study.Integer, Min: "0", Max: "500", Class: study.Clinical}
		if v.tenth {
			f.Type, f.Precision, f.Scale = study.Decimal, 5, 1
		}
		if v.codes != nil {
			f.Type, f.Min, f.Max = study.Choice, "", ""
			for _, c := range v.codes {
				f.Choices = append(f.Choices, study.ChoiceItem{Code: c})
			}
		}
		form.Fields = append(form.Fields, f)
		fed.Fields = append(fed.Fields, study.FieldMapping{Field: v.name, Pick: study.Pick{Column: v.name}})
	}
	s := &study.Study{Timezone: "UTC", Forms: []study.Form{form}}
	for v := range visits {
		s.Visits = append(s.Visits, study.VisitType{Name: fmt.Sprintf("visit_%02d", v), Aliases: []string{fmt.Sprintf("VISIT_%02d", v)}})
	}
	return s, &study.Source{Format: study.FormatSpec{Type: "csv", Header: true}, Map: study.Mapping{Participant: study.Pick{Column: "PATIENT_ID"},
		Site: study.Pick{Value: "site-a"}, Visit: study.Pick{Column: "VISIT"}, VisitBy: "name", VisitDate: study.Pick{Column: "VISIT_DATE"},
		Modified: study.Pick{Column: "LAST_MODIFIED"}, Forms: []study.FormMapping{fed}}}
}

func vitalSignsOf(participants, visits int) []byte {
	var in bytes.Buffer
	in.WriteString("PATIENT_ID,VISIT,VISIT_DATE,LAST_MODIFIED")
	for _, v := range vitalFields {
		in.WriteString("," + v.name)
	}
	start, _ := study.NewDate(2024, 1, 1)
	n := 0
	for p := range participants {
		for v := range visits {
			day := start + study.Date(p%365+30*v)
			fmt.Fprintf(&in, "\nBEN-%07d,VISIT_%02d,%s,%sT12:00:00Z", p, v, day, day)
			for _, f := range vitalFields {
				switch n = (n*1103515245 + 12345) & 0x7fffffff; {
				case n>>8%20 == 0:
					in.WriteByte(',')
				case f.codes != nil:
					in.WriteString("," + f.codes[n>>8%len(f.codes)])
				case f.tenth:
					fmt.Fprintf(&in, ",%d.%d", 30+n>>8%80, n>>8%10)
				default:
					fmt.Fprintf(&in, ",%d", 50+n>>8%120)
				}
			}
		}
	}
	return in.Bytes()
}
