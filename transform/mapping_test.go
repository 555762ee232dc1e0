package transform

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

// testStudy is a small study with one form of each kind: per visit and eye, once
// at baseline, and a log.
func testStudy() *study.Study {
	sides := []study.ChoiceItem{{Code: "R"}, {Code: "L"}}
	return &study.Study{
		Name: "amd", Timezone: "Europe/London", Days: study.Elapsed,
		Consent: study.Consent{Kind: "form", Form: "consent", Field: "consented_on"},
		Visits: []study.VisitType{
			{Name: "baseline", Number: "3", Aliases: []string{"Día 0"}},
			{Name: "month_1", Number: "4.0"},
		},
		Forms: []study.Form{
			{Name: "va", RepeatsBy: "eye", Fields: []study.Field{
				{Name: "eye", Type: study.Choice, Choices: sides, Required: true, Class: study.Clinical},
				{Name: "letters", Type: study.Acuity, Required: true, Class: study.Clinical},
				{Name: "iop", Type: study.Decimal, Precision: 4, Scale: 1, Min: "0", Max: "80", Class: study.Clinical},
				{Name: "notes", Type: study.Text, Class: study.FreeText},
				{Name: "done", Type: study.Boolean, Class: study.Clinical},
			}, Checks: []study.Check{
				{Name: "iop_needs_va", Expr: "iop == null || letters != null", Severity: study.Flag},
				{Name: "iop_measurable", Expr: "iop != 66", Severity: study.Reject},
				{Name: "iop_seen", Expr: "iop != 0", Severity: study.Note},
			}},
			{Name: "consent", Fields: []study.Field{{Name: "consented_on", Type: study.DateType, Class: study.DateClass}}},
			{Name: "ae", Log: true, Fields: []study.Field{
				{Name: "grade", Type: study.Integer, Required: true, Class: study.Clinical},
				{Name: "mrn", Type: study.Integer, Class: study.DirectIdentifier},
			}},
		},
	}
}

func column(name string) study.Pick { return study.Pick{Column: name} }

func testSource() *study.Source {
	when := func(form string) (study.Pick, []string) { return column("FORM"), []string{form} }
	va := study.FormMapping{Form: "va", Occurrence: column("EYE"), Fields: []study.FieldMapping{
		{Field: "eye", Pick: study.Pick{Column: "EYE", Values: map[string]string{"OD": "R", "OS": "L"}}},
		{Field: "letters", Pick: study.Pick{Column: "VA", Scale: "etdrs_letters", Missing: map[string]string{"-1": "not_done", "NA": "unknown"}}},
		{Field: "iop", Pick: column("IOP")},
		{Field: "notes", Pick: column("NOTES")},
		{Field: "done", Pick: column("DONE")},
	}}
	consent := study.FormMapping{Form: "consent", Fields: []study.FieldMapping{
		{Field: "consented_on", Pick: study.Pick{Column: "CONSENT", Format: "02/01/2006"}}}}
	ae := study.FormMapping{Form: "ae", Occurrence: column("AE_ID"), Fields: []study.FieldMapping{
		{Field: "grade", Pick: column("GRADE")}, {Field: "mrn", Pick: column("MRN")}}}
	va.When, va.WhenValues = when("va")
	consent.When, consent.WhenValues = when("consent")
	ae.When, ae.WhenValues = when("ae")
	return &study.Source{Name: "site-a", Study: "amd", Map: study.Mapping{
		Participant: column("PID"), Site: column("SITE"),
		Visit: column("VISIT"), VisitBy: "name", VisitAliases: map[string]string{"BL": "baseline"},
		VisitDate: study.Pick{Column: "DATE", Format: "02/01/2006"},
		Planned:   column("PLANNED"), BaselineDate: column("BASE"), Reason: column("REASON"),
		Modified: column("MODIFIED"), Entered: column("ENTERED"), Author: column("AUTHOR"), Withdrawn: column("WITHDRAWN"),
		Forms: []study.FormMapping{va, consent, ae},
	}}
}

// mapping maps rows given as name=value pairs separated by ";".
func mapping(t testing.TB, s *study.Study, src *study.Source, rows ...string) *Mapped {
	t.Helper()
	m, problems := NewMapper(s, src)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	columns := []string{"PID", "SITE", "FORM", "VISIT", "DATE", "DAY", "PLANNED", "BASE", "REASON", "MODIFIED", "ENTERED", "AUTHOR", "WITHDRAWN",
		"EYE", "VA", "IOP", "NOTES", "DONE", "CONSENT", "AE_ID", "GRADE", "MRN", "SPARE",
		"REPEAT", "STATUS", "SINCE", "WHY", "GONE", "CODE", "RESULT"}
	if err := m.Bind(columns); err != nil {
		t.Fatal(err)
	}
	batch := &Rows{Columns: columns, First: 11}
	for i, text := range rows {
		cells := make([][]byte, len(columns))
		for pair := range strings.SplitSeq(text, ";") {
			name, value, _ := strings.Cut(pair, "=")
			k := slices.Index(columns, name)
			if k < 0 {
				t.Fatalf("no column %q", name)
			}
			cells[k] = []byte(value)
		}
		batch.Cells = append(batch.Cells, cells...)
		batch.Lines = append(batch.Lines, int64(100+i))
		batch.Raw = append(batch.Raw, []byte(text))
	}
	out := &Mapped{}
	m.Map(batch, out)
	m.Finish(out)
	// The batch is only valid until the next one: nothing may hang on to it.
	for _, c := range batch.Cells {
		for i := range c {
			c[i] = '#'
		}
	}
	if rows, records := balance(out); rows != 0 || records != 0 {
		t.Fatalf("counts do not balance: %+v", out.Counts)
	}
	return out
}

// balance checks the counts as far as mapping goes: a produced record is
// quarantined here or is a draft.
func balance(out *Mapped) (rows, records int64) {
	c := out.Counts
	c.Accepted = int64(len(out.Drafts))
	for _, r := range out.Rejections {
		c.Quarantined -= int64(r.Records)
		records += int64(r.Records)
	}
	rows, rest := c.Unaccounted()
	if c.Quarantined != 0 {
		return rows, c.Quarantined
	}
	return rows, rest - records
}

const vaRow = "PID=P1;SITE=a-1;FORM=va;VISIT=BL;DATE=01/01/2026;EYE=OD;VA=44"

func packed(values ...string) string {
	for i, v := range values {
		if v == "" {
			values[i] = study.MissingMark
		}
	}
	return strings.Join(values, string(study.FieldSeparator))
}

func TestMapRecord(t *testing.T) {
	out := mapping(t, testStudy(), testSource(), vaRow+
		";IOP=0;NOTES=cafe\u0301 ;DONE=no;PLANNED=2026-01;BASE=2026-01-01;REASON=snow;MODIFIED=2026-01-02T03:04:05.1234567+01:00;ENTERED=2026-01-03;AUTHOR=Dr Who;WITHDRAWN=2026-05-01")
	if len(out.Drafts) != 1 || len(out.Rejections) != 0 {
		t.Fatalf("%d drafts, rejections %+v", len(out.Drafts), out.Rejections)
	}
	d := out.Drafts[0]
	first, _ := study.ParseDate("2026-01-01")
	planned, _ := study.ParsePartialDate("2026-01")
	entered, _ := study.ParseDate("2026-01-03")
	withdrawn, _ := study.ParseDate("2026-05-01")
	want := study.Draft{Ordinal: 11, Line: 100, Identity: "P1", Site: "a-1", Form: 0, Occurrence: "R",
		Visit: study.VisitRef{Key: "baseline", Type: 0, Actual: study.ExactDate(first), Planned: planned,
			Declared: study.ExactDate(first), Reason: true},
		Modified: time.Date(2026, 1, 2, 2, 4, 5, 123456000, time.UTC), Entered: entered, Withdrawn: withdrawn,
		Consented: study.NoDate, StatusOn: study.NoDate, Answers: packed("R", "etdrs:44", "0", study.SealedMark, "false"), Findings: "iop_seen:check:note",
		Private: []study.PrivateItem{{Field: 3, Text: "café "}, {Field: study.PrivateReason, Text: "snow"}, {Field: study.PrivateAuthor, Text: "Dr Who"}}}
	if fmt.Sprintf("%#v", d) != fmt.Sprintf("%#v", want) {
		t.Errorf("draft\n%#v; want\n%#v", d, want)
	}
	if out.Notes["va.iop_seen"] != 1 {
		t.Errorf("notes %v", out.Notes)
	}
}

func TestMapForms(t *testing.T) {
	for name, c := range map[string]struct {
		row                                    string
		answers, missing, findings, occurrence string
		visit                                  string
	}{
		"left eye":                     {strings.Replace(vaRow, "OD", "OS", 1), packed("L", "etdrs:44", "", "", ""), "", "", "L", "baseline"},
		"missing with a reason":        {strings.Replace(vaRow, "VA=44", "VA=-1", 1), packed("R", "", "", "", ""), "1=not_done", "", "R", "baseline"},
		"required":                     {strings.Replace(vaRow, "VA=44", "IOP=12", 1), packed("R", "", "12", "", ""), "", "letters:required,iop_needs_va:check", "R", "baseline"},
		"range":                        {vaRow + ";IOP=81.2", packed("R", "etdrs:44", "81.2", "", ""), "", "iop:range", "R", "baseline"},
		"off the chart":                {strings.Replace(vaRow, "VA=44", "VA=HM", 1), packed("R", "off:HM", "", "", ""), "", "", "R", "baseline"},
		"log":                          {"PID=P1;FORM=ae;AE_ID=AE-7;GRADE=0;VISIT=??;DATE=??", packed("0", ""), "", "", "AE-7", ""},
		"log with a sealed number":     {"PID=P1;FORM=ae;AE_ID=1;GRADE=3;MRN=0042", packed("3", study.SealedMark), "", "", "1", ""},
		"repeat that may identify":     {"PID=P1;FORM=ae;AE_ID=Jane Doe;GRADE=3", packed("3", ""), "", "", "u:01332c876518", ""},
		"visit date only":              {strings.Replace(vaRow, "VISIT=BL", "VISIT=", 1), packed("R", "etdrs:44", "", "", ""), "", "", "R", "d:2026-01-01"},
		"visit of the study by name":   {strings.Replace(vaRow, "BL", "month_1", 1), packed("R", "etdrs:44", "", "", ""), "", "", "R", "month_1"},
		"visit by its own alias":       {strings.Replace(vaRow, "BL", "Di\u0301a 0", 1), packed("R", "etdrs:44", "", "", ""), "", "", "R", "baseline"},
		"visit of no type":             {strings.Replace(vaRow, "BL", "extra", 1), packed("R", "etdrs:44", "", "", ""), "", "", "R", "u:c8dee78f8c7b/2026-01-01"},
		"visit of no type, no date":    {strings.Replace(vaRow, "BL;DATE=01/01/2026", "extra", 1), packed("R", "etdrs:44", "", "", ""), "", "", "R", "u:c8dee78f8c7b/"},
		"visit of no type, some month": {strings.Replace(vaRow, "BL;DATE=01/01/2026", "extra;DATE=2026-01", 1), packed("R", "etdrs:44", "", "", ""), "", "", "R", "u:c8dee78f8c7b/2026-01"},
	} {
		out := mapping(t, testStudy(), testSource(), c.row)
		if len(out.Drafts) != 1 {
			t.Errorf("%s: %d drafts, rejections %+v", name, len(out.Drafts), out.Rejections)
			continue
		}
		d := out.Drafts[0]
		if d.Answers != c.answers || d.Missing != c.missing || d.Findings != c.findings || d.Occurrence != c.occurrence || d.Visit.Key != c.visit {
			t.Errorf("%s: answers %q, missing %q, findings %q, occurrence %q, visit %q", name, d.Answers, d.Missing, d.Findings, d.Occurrence, d.Visit.Key)
		}
		if (d.Visit.Type >= 0) != (d.Visit.Key == "baseline" || d.Visit.Key == "month_1") {
			t.Errorf("%s: visit %q has type %d", name, d.Visit.Key, d.Visit.Type)
		}
		if strings.Contains(fmt.Sprintf("%+v", d.Visit)+d.Occurrence+d.Answers, "Jane") {
			t.Errorf("%s: source text in the research schema", name)
		}
	}
}

func TestConsent(t *testing.T) {
	out := mapping(t, testStudy(), testSource(),
		"PID=P1;FORM=consent;VISIT=BL;DATE=01/01/2026;CONSENT=31/12/2025",
		"PID=P1;FORM=consent;VISIT=BL;DATE=01/01/2026;CONSENT=2025-12",
		"PID=P1;FORM=consent;VISIT=BL;DATE=01/01/2026")
	for i, want := range []string{"2025-12-31", "", ""} {
		if d := out.Drafts[i]; d.Consented.String() != want || d.Occurrence != "1" {
			t.Errorf("row %d: consented %s, occurrence %q", i, d.Consented, d.Occurrence)
		}
	}
}

// Every way to be rejected: what is said of it, and nothing of the row but Raw.
func TestRejections(t *testing.T) {
	for name, c := range map[string]struct {
		row  string
		want string // form/field/rule/records by " "
	}{
		"no participant":     {strings.Replace(vaRow, "P1", "", 1), "/PID/participant_missing/0"},
		"bad site":           {strings.Replace(vaRow, "a-1", "Leeds General", 1), "/SITE/site_invalid/0"},
		"no visit":           {"PID=P1;FORM=va;EYE=OD;VA=44", "/VISIT/visit_missing/0"},
		"31 February":        {strings.Replace(vaRow, "01/01", "31/02", 1), "/DATE/date_invalid/0"},
		"bad planned date":   {vaRow + ";PLANNED=soon", "/PLANNED/date_invalid/0"},
		"bad baseline date":  {vaRow + ";BASE=soon", "/BASE/date_invalid/0"},
		"bad modified":       {vaRow + ";MODIFIED=2026-01-01", "/MODIFIED/modified_invalid/0"},
		"bad entered":        {vaRow + ";ENTERED=01-01-2026", "/ENTERED/date_invalid/0"},
		"bad withdrawal":     {vaRow + ";WITHDRAWN=never", "/WITHDRAWN/date_invalid/0"},
		"unknown choice":     {strings.Replace(vaRow, "OD", "XX", 1), "va/eye/choice_unknown/1"},
		"no repeat":          {strings.Replace(vaRow, "OD", "", 1), "va/eye/required/1"},
		"no log repeat":      {"PID=P1;FORM=ae;GRADE=1", "ae/AE_ID/required/1"},
		"two fields":         {strings.Replace(vaRow, "VA=44", "VA=x;IOP=y;DONE=z", 1), "va/letters/acuity_invalid/1 va/iop/decimal_invalid/0 va/done/boolean_invalid/0"},
		"check":              {vaRow + ";IOP=66", "va/iop_measurable/check/1"},
		"sealed and invalid": {"PID=P1;FORM=ae;AE_ID=1;GRADE=3;MRN=Jane", "ae/mrn/integer_invalid/1"},
	} {
		out := mapping(t, testStudy(), testSource(), c.row)
		var got []string
		for _, r := range out.Rejections {
			got = append(got, fmt.Sprintf("%s/%s/%s/%d", r.Form, r.Field, r.Rule, r.Records))
			if string(r.Raw) != c.row || r.Ordinal != 11 || r.Line != 100 {
				t.Errorf("%s: rejection %+v does not hold its row", name, r)
			}
		}
		if strings.Join(got, " ") != c.want || len(out.Drafts) != 0 {
			t.Errorf("%s: rejections %q, %d drafts; want %q", name, got, len(out.Drafts), c.want)
		}
	}
}

func TestIgnoredAndBroken(t *testing.T) {
	src := testSource()
	src.Map.Site = study.Pick{Value: "site-a", Const: true}
	m, problems := NewMapper(testStudy(), src)
	if problems != nil {
		t.Fatal(problems)
	}
	columns := []string{"PID", "FORM", "VISIT", "DATE", "PLANNED", "BASE", "REASON", "MODIFIED", "ENTERED", "AUTHOR", "WITHDRAWN",
		"EYE", "VA", "IOP", "NOTES", "DONE", "CONSENT", "AE_ID", "GRADE", "MRN"}
	if err := m.Bind(columns); err != nil {
		t.Fatal(err)
	}
	out := &Mapped{}
	m.Map(&Rows{Columns: columns, First: 1, Cells: make([][]byte, 2*len(columns)), Lines: []int64{2, 3},
		Raw: [][]byte{[]byte("one"), []byte("two")}, Broken: []Broken{{1, "column_count"}}}, out)
	want := study.Counts{Read: 2, Ignored: 1, RowsQuarantined: 1}
	if out.Counts != want || len(out.Rejections) != 1 {
		t.Fatalf("counts %+v, rejections %+v", out.Counts, out.Rejections)
	}
	if r := out.Rejections[0]; r.Rule != "column_count" || r.Site != "site-a" || r.Ordinal != 2 || string(r.Raw) != "two" {
		t.Errorf("rejection %+v", r)
	}
	out.Reset()
	if len(out.Drafts)+len(out.Rejections) != 0 || out.Counts != (study.Counts{}) {
		t.Errorf("after Reset %+v", out)
	}
}

// One row may feed several forms, and one of them may be rejected alone.
func TestRowFeedsSeveralForms(t *testing.T) {
	src := testSource()
	for i := range src.Map.Forms {
		src.Map.Forms[i].When, src.Map.Forms[i].WhenValues = study.Pick{}, nil
	}
	out := mapping(t, testStudy(), src, vaRow+";AE_ID=1;GRADE=x;CONSENT=01/01/2026")
	want := study.Counts{Read: 1, Mapped: 1, Produced: 3, Quarantined: 1}
	if out.Counts != want || len(out.Drafts) != 2 || out.Rejections[0].Form != "ae" {
		t.Errorf("counts %+v, %d drafts, rejections %+v", out.Counts, len(out.Drafts), out.Rejections)
	}
	if out.Drafts[0].Visit.Key != "baseline" || out.Drafts[1].Visit.Key != "baseline" {
		t.Errorf("drafts %+v", out.Drafts)
	}
}

func TestVisitByNumberAndDay(t *testing.T) {
	src := testSource()
	src.Map.VisitBy = "number"
	number := func(n string) string { return strings.Replace(vaRow, "BL", n, 1) }
	out := mapping(t, testStudy(), src, number("3"), number("3.0"), number("4"), number("04.00"), number("4.1"), number("-1.50"),
		number("SCREENING"), number("1234567890"), number("BL"))
	want := []string{"baseline", "baseline", "month_1", "month_1", "n:4.1/2026-01-01", "n:-1.5/2026-01-01",
		"u:d94008112b33/2026-01-01", "u:c775e7b757ed/2026-01-01", "baseline"}
	for i, d := range out.Drafts {
		if d.Visit.Key != want[i] {
			t.Errorf("row %d: visit %q; want %q", i, d.Visit.Key, want[i])
		}
	}

	s := testStudy()
	s.Relative = true
	src = testSource()
	src.Map.Visit, src.Map.VisitDate, src.Map.VisitBy = study.Pick{}, study.Pick{}, "date"
	src.Map.VisitDay = column("DAY")
	out = mapping(t, s, src, vaRow+";DAY=0", vaRow+";DAY=-7", vaRow+";DAY=1e3", vaRow+";DAY=", vaRow+";DAY=200000")
	if len(out.Drafts) != 2 || out.Drafts[0].Visit.Key != "d:0" || out.Drafts[1].Visit.Key != "d:-7" ||
		out.Drafts[1].Visit.Actual.First() != -7 || out.Drafts[0].Visit.Type != -1 {
		t.Errorf("drafts %+v", out.Drafts)
	}
	var rules []string
	for _, r := range out.Rejections {
		rules = append(rules, r.Rule)
	}
	if !slices.Equal(rules, []string{"visit_day_invalid", "visit_missing", "visit_day_invalid"}) {
		t.Errorf("rules %q", rules)
	}
}

// An instant is the civil date at the study: 23:30 UTC in summer is tomorrow in London.
func TestVisitInstants(t *testing.T) {
	for text, want := range map[string]string{
		"2026-06-30T23:30:00Z": "2026-07-01", "2026-12-31T23:30:00Z": "2026-12-31", "2026-06-30T23:30Z": "2026-07-01",
		"2026-06-30T23:30": "2026-06-30", "2026-06-30T23:30:15": "2026-06-30", "30/06/2026": "2026-06-30", "2026": "2026",
	} {
		out := mapping(t, testStudy(), testSource(), strings.Replace(vaRow, "01/01/2026", text, 1))
		if len(out.Drafts) != 1 || out.Drafts[0].Visit.Actual.String() != want {
			t.Errorf("%s: drafts %+v; want %s", text, out.Drafts, want)
		}
	}
}

func TestRawIsKeptForBlock(t *testing.T) {
	s := testStudy()
	s.Deviations.VisitOutOfWindow = "block"
	if out := mapping(t, s, testSource(), vaRow); string(out.Drafts[0].Raw) != vaRow {
		t.Errorf("raw %q", out.Drafts[0].Raw)
	}
	if out := mapping(t, testStudy(), testSource(), vaRow); out.Drafts[0].Raw != nil {
		t.Error("raw kept without need")
	}
}

func TestBindNamesEveryMissingColumn(t *testing.T) {
	m, _ := NewMapper(testStudy(), testSource())
	err := m.Bind([]string{"PID", "FORM", "VISIT", "DATE", "SECRET HEADER"})
	if err == nil || err.Code != "map.column_missing" {
		t.Fatal(err)
	}
	for _, want := range []string{"5 columns", "AE_ID, AUTHOR, BASE, CONSENT, DONE, ENTERED, EYE"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "SECRET") {
		t.Errorf("%v quotes the object", err)
	}
}

func TestMapperProblems(t *testing.T) {
	s, src := testStudy(), testSource()
	s.Timezone = "Mars/Olympus"
	s.Forms[0].Checks[0].Expr = "nothing > 1"
	src.Map.Participant = study.Pick{}
	src.Map.VisitDate.Format = "dd/mm/yyyy"
	src.Map.VisitBy = "guess"
	src.Map.Forms[0].Fields = append(src.Map.Forms[0].Fields, study.FieldMapping{Field: "nofield", Pick: column("X")})
	src.Map.Forms = append(src.Map.Forms, study.FormMapping{Form: "noform"})
	m, problems := NewMapper(s, src)
	var keys []string
	for _, p := range problems {
		keys = append(keys, p.Key)
	}
	slices.Sort(keys)
	want := []string{"forms.va.checks.iop_needs_va", "map.forms.noform", "map.forms.va.fields.nofield",
		"map.participant", "map.visit.by", "map.visit_date.format", "timezone"}
	if m != nil || !slices.Equal(keys, want) {
		t.Errorf("problems %+v", problems)
	}
}

// fuzzed maps one batch of rows made from data and checks what always holds.
func fuzzed(t testing.TB, m *Mapper, s *study.Study, columns int, data []byte) {
	batch := &Rows{First: 1, Columns: make([]string, columns)}
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		cells := bytes.Split(line, []byte(";"))
		if len(cells) != columns {
			batch.Broken = append(batch.Broken, Broken{batch.Len(), "column_count"})
			cells = make([][]byte, columns)
		}
		batch.Cells = append(batch.Cells, cells...)
		batch.Lines = append(batch.Lines, int64(batch.Len()+1))
		batch.Raw = append(batch.Raw, line)
	}
	out := &Mapped{}
	m.Map(batch, out)
	if rows, records := balance(out); rows != 0 || records != 0 || out.Counts.Read != int64(batch.Len()) {
		t.Fatalf("counts do not balance: %+v", out.Counts)
	}
	for _, d := range out.Drafts {
		form := &s.Forms[d.Form]
		answers := strings.Split(d.Answers, string(study.FieldSeparator))
		if len(answers) != len(form.Fields) || d.Occurrence == "" || d.Identity == "" {
			t.Fatalf("%d answers of %d fields, occurrence %q", len(answers), len(form.Fields), d.Occurrence)
		}
		for i, a := range answers {
			if form.Fields[i].Sealed() && a != study.SealedMark && a != study.MissingMark {
				t.Fatalf("sealed field %s holds %q", form.Fields[i].Name, a)
			}
			if d.Removed && a != study.MissingMark {
				t.Fatalf("a removed record says %q of %s", a, form.Fields[i].Name)
			}
			if a == "" {
				t.Fatalf("field %s holds an empty text, which is no value", form.Fields[i].Name)
			}
		}
		if form.Log != (d.Visit.Key == "") {
			t.Fatalf("form %s of visit %q", form.Name, d.Visit.Key)
		}
	}
}

var fuzzColumns = []string{"PID", "SITE", "FORM", "VISIT", "DATE", "PLANNED", "BASE", "REASON", "MODIFIED", "ENTERED", "AUTHOR", "WITHDRAWN",
	"EYE", "VA", "IOP", "NOTES", "DONE", "CONSENT", "AE_ID", "GRADE", "MRN"}

var fuzzWords = []string{"", "", "P1", "va", "va", "ae", "consent", "BL", "01/01/2026", "31/02/2026", "2026-01", "OD", "R", "44", "-1", "CF", "0", "x y",
	"2026-01-02T03:04:05Z", "é", "\x1f", "\x1e", "1.25", "66"}

// fuzzMapper uses everything that a mapping can say of a row.
func fuzzMapper(t testing.TB) (*Mapper, *study.Study) {
	s := testStudy()
	src := testSource()
	src.Map.Deleted, src.Map.DeletedValues, src.Map.ChangeReason = column("NOTES"), []string{"x y"}, column("REASON")
	src.Map.Status = study.Pick{Column: "DONE", Values: map[string]string{"1.25": "lost", "44": "who knows"}, Missing: map[string]string{}}
	for _, word := range fuzzWords {
		if src.Map.Status.Values[word] == "" {
			src.Map.Status.Missing[word] = "unknown"
		}
	}
	va := &src.Map.Forms[0]
	va.Fields[2].Pick.Unit, va.Fields[4].Pick = "factor:1/2", study.Pick{Expr: `num(col("GRADE") ?? "0") > 1`}
	m, problems := NewMapper(s, src)
	if problems != nil {
		t.Fatal(problems)
	}
	if err := m.Bind(fuzzColumns); err != nil {
		t.Fatal(err)
	}
	return m, s
}

// Whatever a file says, read = mapped + quarantined + ignored, and every record
// produced is a draft or quarantined.
func TestRowsAreAccountedFor(t *testing.T) {
	m, s := fuzzMapper(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	words := fuzzWords
	for range 10_000 {
		var data []string
		for range rnd.IntN(6) {
			cells := make([]string, len(fuzzColumns)-rnd.IntN(12)/11)
			for i := range cells {
				cells[i] = words[rnd.IntN(len(words))]
			}
			if rnd.IntN(2) == 0 { // half of them with a proper start
				copy(cells, []string{"P1", "a", words[3+rnd.IntN(4)], "BL", "01/01/2026", "", "", "", "", "", "", ""})
			}
			data = append(data, strings.Join(cells, ";"))
		}
		fuzzed(t, m, s, len(fuzzColumns), []byte(strings.Join(data, "\n")))
	}
}

func FuzzMap(f *testing.F) {
	f.Add([]byte("P1;a;va;BL;01/01/2026;;;;;;;;OD;44;15.5;note;yes;;;;\nP1;a;ae;;;;;;;;;;;;;;;;7;3;42"))
	f.Add([]byte("P1;a;consent;extra;2026-01;2026;;why;2026-01-02T03:04:05Z;2026-01-03;me;2026;;;;;;31/12/2025;;;\nbroken"))
	f.Add([]byte(";;va;;;;;;;;;;;;;;;;;;"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, s := fuzzMapper(t)
		fuzzed(t, m, s, len(fuzzColumns), data)
	})
}
