package transform

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// rejected is what a table says of rejections: form/field/rule/records by " ".
func rejected(out *Mapped) string {
	var said []string
	for _, r := range out.Rejections {
		said = append(said, fmt.Sprintf("%s/%s/%s/%d", r.Form, r.Field, r.Rule, r.Records))
	}
	return strings.Join(said, " ")
}

func TestVisitRepeat(t *testing.T) {
	s := testStudy()
	s.Visits = append(s.Visits, study.VisitType{Name: "injection", Number: "9", Repeats: true})
	for name, c := range map[string]struct {
		by, row string
		repeat  bool
		key     string
		kind    int
	}{
		"not a repeating type":       {"name", vaRow + ";REPEAT=2", true, "baseline", 0},
		"by name and repeat":         {"name", strings.Replace(vaRow, "BL", "injection", 1) + ";REPEAT=2", true, "injection/2", 2},
		"by name without repeat":     {"name", strings.Replace(vaRow, "BL", "injection", 1), true, "injection/2026-01-01", 2},
		"no repeat column":           {"name", strings.Replace(vaRow, "BL", "injection", 1) + ";REPEAT=2", false, "injection/2026-01-01", 2},
		"no repeat column, a month":  {"name", strings.NewReplacer("BL", "injection", "01/01/2026", "2026-01").Replace(vaRow), false, "injection/2026-01", 2},
		"by number":                  {"number", strings.Replace(vaRow, "BL", "9.0", 1) + ";REPEAT=b", true, "injection/b", 2},
		"repeat that may identify":   {"name", strings.Replace(vaRow, "BL", "injection", 1) + ";REPEAT=Jane Doe", true, "injection/u:01332c876518", 2},
		"by date":                    {"date", vaRow + ";REPEAT=2", true, "d:2026-01-01#2", -1},
		"by date, without":           {"date", vaRow, true, "d:2026-01-01", -1},
		"of no type":                 {"name", strings.Replace(vaRow, "BL", "extra", 1) + ";REPEAT=2", true, "u:c8dee78f8c7b#2", -1},
		"of no type by number":       {"number", strings.Replace(vaRow, "BL", "4.1", 1) + ";REPEAT=2", true, "n:4.1#2", -1},
		"cannot be told from others": {"name", strings.NewReplacer("BL", "injection", "01/01/2026", "").Replace(vaRow), true, "", 0},
	} {
		src := testSource()
		if src.Map.VisitBy = c.by; c.repeat {
			src.Map.VisitRepeat = column("REPEAT")
		}
		out := mapping(t, s, src, c.row)
		if c.key == "" {
			if got := rejected(out); got != "/REPEAT/visit_missing/0" {
				t.Errorf("%s: rejections %q", name, got)
			}
			continue
		}
		if len(out.Drafts) != 1 || out.Drafts[0].Visit.Key != c.key || out.Drafts[0].Visit.Type != c.kind {
			t.Errorf("%s: drafts %+v, rejections %q; want visit %q", name, out.Drafts, rejected(out), c.key)
		}
	}
}

func TestParticipantStatusOfRow(t *testing.T) {
	src := testSource()
	src.Map.Status = study.Pick{Column: "STATUS", Values: map[string]string{"LTFU": "lost"}, Missing: map[string]string{"?": "unknown"}}
	src.Map.StatusDate = study.Pick{Column: "SINCE", Format: "02/01/2006"}
	for row, want := range map[string]string{
		";STATUS=LTFU;SINCE=03/02/2026": "lost 2026-02-03", ";STATUS=screen_failure": "screen_failure ", "": " ", ";STATUS=?": " ",
		";STATUS=enrolled;SINCE=2026-02": "enrolled ",
	} {
		out := mapping(t, testStudy(), src, vaRow+row)
		if d := out.Drafts[0]; string(d.Status)+" "+d.StatusOn.String() != want {
			t.Errorf("%q: status %q on %s", row, d.Status, d.StatusOn)
		}
	}
	out := mapping(t, testStudy(), src, vaRow+";STATUS=gone", vaRow+";STATUS=died;SINCE=31/02/2026")
	if got := rejected(out); got != "/STATUS/status_unknown/0 /SINCE/date_invalid/0" {
		t.Errorf("rejections %q", got)
	}
}

func TestChangeReasonOfRow(t *testing.T) {
	src := testSource()
	src.Map.ChangeReason = column("WHY")
	out := mapping(t, testStudy(), src, vaRow+";WHY=typing error", vaRow)
	if d := out.Drafts[0]; d.Change != study.ChangeExplained || !slices.Contains(d.Private, study.PrivateItem{Field: study.PrivateChangeReason, Text: "typing error"}) {
		t.Errorf("draft %+v", d)
	}
	if d := out.Drafts[1]; d.Change != study.ChangeUnexplained || len(d.Private) != 0 {
		t.Errorf("draft %+v", d)
	}
	if d := mapping(t, testStudy(), testSource(), vaRow+";WHY=x").Drafts[0]; d.Change != study.ChangeUnasked {
		t.Errorf("change %d of a source without a place for reasons", d.Change)
	}
}

func TestDeletedRow(t *testing.T) {
	for _, own := range []bool{false, true} {
		src := testSource()
		src.Map.Deleted, src.Map.DeletedValues = column("GONE"), []string{"D"}
		field, occurrence := "eye", ""
		if !own { // the field is not what tells occurrences apart
			src.Map.Forms[0].Occurrence, field, occurrence = column("AE_ID"), "AE_ID", ";AE_ID=R"
		}
		out := mapping(t, testStudy(), src, vaRow+";GONE=D;IOP=not a number;NOTES=seen;AUTHOR=me"+occurrence, vaRow+";GONE=I"+occurrence,
			strings.Replace(vaRow, "OD", "", 1)+";GONE=D", strings.Replace(vaRow, "01/01", "31/02", 1)+";GONE=D")
		d := out.Drafts[0]
		if !d.Removed || d.Answers != packed("", "", "", "", "") || d.Missing != "" || d.Findings != "" || d.Occurrence != "R" || d.Visit.Key != "baseline" {
			t.Errorf("draft %+v", d)
		}
		if want := []study.PrivateItem{{Field: study.PrivateAuthor, Text: "me"}}; !slices.Equal(d.Private, want) {
			t.Errorf("private %+v of a removal", d.Private)
		}
		if out.Drafts[1].Removed {
			t.Error("a live row counts as removed")
		}
		if got := rejected(out); got != "va/"+field+"/required/1 /DATE/date_invalid/0" || len(out.Drafts) != 2 {
			t.Errorf("rejections %q, %d drafts", got, len(out.Drafts))
		}
	}
	src := testSource()
	src.Map.Deleted = column("GONE") // whatever it says
	if out := mapping(t, testStudy(), src, vaRow+";GONE=0", vaRow); !out.Drafts[0].Removed || out.Drafts[1].Removed {
		t.Errorf("drafts %+v", out.Drafts)
	}
}

func TestFactsOfRow(t *testing.T) {
	s, src := testStudy(), testSource()
	s.Forms[1].Fields = append(s.Forms[1].Fields,
		study.Field{Name: "sex", Type: study.Choice, Choices: []study.ChoiceItem{{Code: "F"}, {Code: "M"}}, Class: study.Quasi},
		study.Field{Name: "born", Type: study.DateType, Class: study.DateClass},
		study.Field{Name: "year", Type: study.Integer, Class: study.Quasi},
		study.Field{Name: "name", Type: study.Text, Class: study.DirectIdentifier})
	s.Facts = []study.FactSource{
		{Name: "consent.consented_on", Kind: study.EventFact, Form: 1, Field: 0},
		{Name: "consent.sex", Kind: study.SexFact, Form: 1, Field: 1},
		{Name: "consent.born", Kind: study.BirthYearFact, Form: 1, Field: 2},
		{Name: "consent.year", Kind: study.BirthYearFact, Form: 1, Field: 3},
		{Name: "consent.name", Kind: study.SexFact, Form: 1, Field: 4},
	}
	src.Map.Deleted = column("GONE")
	src.Map.Forms[1].Fields = append(src.Map.Forms[1].Fields, study.FieldMapping{Field: "sex", Pick: column("EYE")},
		study.FieldMapping{Field: "born", Pick: column("BASE")}, study.FieldMapping{Field: "year", Pick: column("GRADE")}, study.FieldMapping{Field: "name", Pick: column("NOTES")})
	src.Map.BaselineDate = study.Pick{}
	const row = "PID=P1;FORM=consent;VISIT=BL;DATE=01/01/2026;NOTES=Jane"
	for more, want := range map[string]string{
		";CONSENT=31/12/2025;EYE=F;BASE=1950-06-07;GRADE=1951": "[{0 2025-12-31} {1 F} {2 1950} {3 1951}]",
		";CONSENT=2025-12;EYE=F;BASE=1950":                     "[{1 F} {2 1950}]",
		"":                                                     "[]",
		";EYE=F;GONE=1":                                        "[]",
	} {
		out := mapping(t, s, src, row+more)
		if got := fmt.Sprint(out.Drafts[0].Facts); got != want {
			t.Errorf("%q: facts %s; want %s", more, got, want)
		}
	}
	if out := mapping(t, s, src, vaRow); out.Drafts[0].Facts != nil {
		t.Errorf("facts %v of a form that tells none", out.Drafts[0].Facts)
	}
}
