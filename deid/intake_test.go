package deid

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

func testStudy() *study.Study {
	return &study.Study{
		Name: "amd-obs-01", CodePrefix: "AMD", Timezone: "Europe/London",
		Forms: []study.Form{{Name: "va", Fields: []study.Field{
			{Name: "eye", Type: study.Choice, Choices: []study.ChoiceItem{{Code: "R"}, {Code: "L"}}, Class: study.Clinical},
			{Name: "iop", Type: study.Decimal, Precision: 4, Scale: 1, Class: study.Clinical},
			{Name: "seen_on", Type: study.DateType, Class: study.DateClass},
			{Name: "comments", Type: study.Text, Class: study.FreeText},
			{Name: "surname", Type: study.Text, Class: study.DirectIdentifier},
		}}},
		Deid: study.DeidPolicy{Profile: "limited", Pseudonym: "derived", Dates: "study_day"},
	}
}

func testSource() *study.Source {
	return &study.Source{Name: "site-a", Map: study.Mapping{Namespace: "site-a-mrn"}}
}

func testIntake(t testing.TB, s *study.Study, k Keys) *Intake {
	t.Helper()
	in, err := NewIntake(s, testSource(), k, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func pack(cells ...string) string { return strings.Join(cells, string(study.FieldSeparator)) }

func draft() study.Draft {
	return study.Draft{
		Ordinal: 7, Line: 8, Identity: "p-001", Site: "site-a", Occurrence: "R",
		Visit:    study.VisitRef{Key: "baseline"},
		Modified: time.Unix(1, 0),
		Answers:  pack("R", "14.5", "2026-01-26", study.SealedMark, study.MissingMark),
		Missing:  "4=refused",
		Private: []study.PrivateItem{
			{Field: 3, Text: "brother of Mrs Smith"},
			{Field: study.PrivateReason, Text: "snow"},
			{Field: study.PrivateAuthor, Text: "nurse@site"},
		},
	}
}

func TestIdentifyGivesStableDistinctCodes(t *testing.T) {
	in, again := testIntake(t, testStudy(), testKeys("k")), testIntake(t, testStudy(), testKeys("k"))
	shape := regexp.MustCompile(`^AMD-[0-9A-HJKMNP-TV-Z]{20}$`)
	seen := map[string]string{}
	for i := range 20_000 {
		source := fmt.Sprintf("mrn %d", i)
		id, rule := in.Identify(source)
		if rule != "" || !shape.MatchString(id.Code) || id.Canon != 1 {
			t.Fatalf("Identify(%q) = %+v, %q", source, id, rule)
		}
		if other, ok := seen[id.Code]; ok {
			t.Fatalf("%q and %q share a code", source, other)
		}
		seen[id.Code] = source
		if i%1000 == 0 {
			same, _ := again.Identify("  MRN  " + fmt.Sprint(i) + " ")
			if same.Code != id.Code || same.Blind != id.Blind {
				t.Fatalf("another spelling of %q has another code", source)
			}
		}
	}
}

func TestCodesAreSeparatedByEveryInput(t *testing.T) {
	code := func(k testKeys, studyName, namespace, source string) string {
		s, src := testStudy(), testSource()
		s.Name, src.Map.Namespace = studyName, namespace
		in, err := NewIntake(s, src, k, seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		id, _ := in.Identify(source)
		return id.Code
	}
	reference := code("k", "study", "ns", "1")
	for what, other := range map[string]string{
		"key": code("other", "study", "ns", "1"), "study": code("k", "study-b", "ns", "1"),
		"namespace": code("k", "study", "ns-b", "1"), "identifier": code("k", "study", "ns", "2"),
		"border": code("k", "study", "n", "s1"),
	} {
		if other == reference {
			t.Errorf("the code does not depend on the %s", what)
		}
	}
}

// A vector computed by an independent program, so that no later change can
// silently re-code a study.
func TestCodeVector(t *testing.T) {
	id, _ := testIntake(t, testStudy(), testKeys("vector")).Identify(" p-001")
	if want := "AMD-EMZP2TD8DS4ZXMTC1S59"; id.Code != want {
		t.Errorf("code of the vector is %s, want %s", id.Code, want)
	}
}

func TestIdentityBoxOpensOnlyForItsOwner(t *testing.T) {
	k := testKeys("k")
	in := testIntake(t, testStudy(), k)
	a, _ := in.Identify(" p-001")
	b, _ := in.Identify("p-002")
	if got, err := OpenIdentity(k, "amd-obs-01", a.Blind, a.Box); err != nil || got != " p-001" {
		t.Errorf("opening the box gives %q, %v", got, err)
	}
	if _, err := OpenIdentity(k, "amd-obs-01", b.Blind, a.Box); code(err) != "deid.box" {
		t.Errorf("a swapped identity opens: %v", err)
	}
	if _, err := OpenIdentity(testKeys("x"), "amd-obs-01", a.Blind, a.Box); code(err) != "deid.box" {
		t.Errorf("another key opens: %v", err)
	}
	for i := range a.Box {
		broken := append([]byte(nil), a.Box...)
		broken[i] ^= 1
		if _, err := OpenIdentity(k, "amd-obs-01", a.Blind, broken); code(err) != "deid.box" {
			t.Fatalf("byte %d flipped and the box opens: %v", i, err)
		}
	}
	if _, rule := in.Identify("a\x00"); rule != IdentityInvalid {
		t.Errorf("control characters pass: %q", rule)
	}
}

func TestSealLeavesNoIdentity(t *testing.T) {
	k, s := testKeys("k"), testStudy()
	in := testIntake(t, s, k)
	d := draft()
	d.Raw = []byte("p-001,Smith")
	rec, err := in.Seal(&d, 42)
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%+v %q", rec, rec.SealedRaw)
	for _, leak := range []string{"p-001", "Smith", "snow", "nurse"} {
		if strings.Contains(printed, leak) {
			t.Errorf("the record still says %q", leak)
		}
	}
	if rec.Participant != 42 || rec.KeyVersion != 1 || rec.Ordinal != 7 || rec.Answers != d.Answers || rec.Visit != d.Visit || !rec.Modified.Equal(d.Modified) {
		t.Errorf("the record lost something: %+v", rec)
	}
	for i, p := range d.Private {
		slot, box := Slot(&s.Forms[0], p.Field), rec.Sealed[i].Box
		if got, err := OpenPrivate(k, s.Name, 42, "va", slot, rec.Hash, box); err != nil || got != p.Text {
			t.Errorf("slot %s opens to %q, %v", slot, got, err)
		}
		wrong := map[string]func() (string, error){
			"participant": func() (string, error) { return OpenPrivate(k, s.Name, 43, "va", slot, rec.Hash, box) },
			"form":        func() (string, error) { return OpenPrivate(k, s.Name, 42, "oct", slot, rec.Hash, box) },
			"field":       func() (string, error) { return OpenPrivate(k, s.Name, 42, "va", slot+"x", rec.Hash, box) },
			"record":      func() (string, error) { return OpenPrivate(k, s.Name, 42, "va", slot, [16]byte{1}, box) },
			"study":       func() (string, error) { return OpenPrivate(k, "other", 42, "va", slot, rec.Hash, box) },
		}
		for what, open := range wrong {
			if _, err := open(); code(err) != "deid.box" {
				t.Errorf("a box moved to another %s opens: %v", what, err)
			}
		}
	}
	if raw, err := in.OpenRow(rec.SealedRaw); err != nil || string(raw) != "p-001,Smith" {
		t.Errorf("the row opens to %q, %v", raw, err)
	}
	if name, err := in.OpenName(in.SealName("smith.csv")); err != nil || name != "smith.csv" {
		t.Errorf("the name opens to %q, %v", name, err)
	}
	if _, err := in.OpenRow(in.SealName("smith.csv")); code(err) != "deid.box" {
		t.Error("a name opens as a row")
	}
}

func TestContentHash(t *testing.T) {
	hash := func(s *study.Study, change func(*study.Draft)) [16]byte {
		t.Helper()
		d := draft()
		change(&d)
		rec, err := testIntake(t, s, testKeys("k")).Seal(&d, 1)
		if err != nil {
			t.Fatal(err)
		}
		return rec.Hash
	}
	same := func(*study.Draft) {}
	reference := hash(testStudy(), same)

	grown := testStudy()
	grown.Forms[0].Fields = append([]study.Field{{Name: "new", Type: study.Integer, Class: study.Clinical}}, grown.Forms[0].Fields...)
	asGrown := func(d *study.Draft) {
		d.Answers, d.Missing = pack(study.MissingMark, d.Answers), "5=refused"
		d.Private[0].Field = 4
	}
	equal := map[string][16]byte{
		"sealed again":              hash(testStudy(), same),
		"grew a new empty column":   hash(grown, asGrown),
		"lacks the new column":      hash(grown, func(d *study.Draft) { asGrown(d); d.Missing = "1=" + study.NotAsked + ",5=refused" }),
		"another author":            hash(testStudy(), func(d *study.Draft) { d.Private[2].Text = "x" }),
		"another modification time": hash(testStudy(), func(d *study.Draft) { d.Modified = time.Now() }),
	}
	for what, h := range equal {
		if h != reference {
			t.Errorf("%s: the hash differs", what)
		}
	}
	differ := map[string][16]byte{
		"a value":          hash(testStudy(), func(d *study.Draft) { d.Answers = strings.Replace(d.Answers, "14.5", "14.6", 1) }),
		"a comment":        hash(testStudy(), func(d *study.Draft) { d.Private[0].Text += "." }),
		"a reason":         hash(testStudy(), func(d *study.Draft) { d.Private[1].Text = "rain" }),
		"a missing reason": hash(testStudy(), func(d *study.Draft) { d.Missing = "4=unknown" }),
		"a value removed": hash(testStudy(), func(d *study.Draft) {
			d.Answers = strings.Replace(d.Answers, "14.5", study.MissingMark, 1)
		}),
		"new column filled": hash(grown, func(d *study.Draft) { asGrown(d); d.Answers = strings.Replace(d.Answers, study.MissingMark, "0", 1) }),
	}
	for what, h := range differ {
		if h == reference {
			t.Errorf("%s changed and the hash did not", what)
		}
	}
}

func TestTypedOrNothing(t *testing.T) {
	in := testIntake(t, testStudy(), testKeys("k"))
	tests := map[string]func(*study.Draft){
		"field missing":         func(d *study.Draft) { d.Answers = pack("R", "14.5") },
		"field too many":        func(d *study.Draft) { d.Answers += pack("", "x") },
		"text in a choice":      func(d *study.Draft) { d.Answers = strings.Replace(d.Answers, "R", "Mr Smith", 1) },
		"text in a number":      func(d *study.Draft) { d.Answers = strings.Replace(d.Answers, "14.5", "see note", 1) },
		"text in a date":        func(d *study.Draft) { d.Answers = strings.Replace(d.Answers, "2026-01-26", "Friday", 1) },
		"comment in clear":      func(d *study.Draft) { d.Answers = strings.Replace(d.Answers, study.SealedMark, "Smith", 1) },
		"mark without value":    func(d *study.Draft) { d.Private = nil },
		"value without mark":    func(d *study.Draft) { d.Answers = strings.Replace(d.Answers, study.SealedMark, study.MissingMark, 1) },
		"sealed mark elsewhere": func(d *study.Draft) { d.Answers = strings.Replace(d.Answers, "14.5", study.SealedMark, 1) },
		"private unsealed":      func(d *study.Draft) { d.Private[0].Field = 1 },
		"private twice":         func(d *study.Draft) { d.Private = append(d.Private, d.Private[0]) },
		"private out of range":  func(d *study.Draft) { d.Private[0].Field = 99 },
		"free missing reason":   func(d *study.Draft) { d.Missing = "4=Smith said no" },
		"unknown form":          func(d *study.Draft) { d.Form = 3 },
	}
	for what, change := range tests {
		d := draft()
		change(&d)
		_, err := in.Seal(&d, 1)
		if code(err) != "deid.untyped" {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if strings.Contains(err.Error(), "Smith") || strings.Contains(err.Error(), "note") {
			t.Errorf("%s: the error quotes the data: %v", what, err)
		}
	}
}

func TestFieldTypesHold(t *testing.T) {
	codes := map[string]bool{"a": true, "b": true}
	tests := []struct {
		typ       study.FieldType
		good, bad []string
	}{
		{study.Integer, []string{"0", "-12"}, []string{"", "1.5", "x"}},
		{study.Decimal, []string{"0", "-0.50"}, []string{"", "1,5", "NaN"}},
		{study.Boolean, []string{"true", "0"}, []string{"", "yes"}},
		{study.DateType, []string{"2012", "2012-02-03"}, []string{"", "3 Feb"}},
		{study.DateTime, []string{"2012-02-03T10:00:00.5Z"}, []string{"", "noon"}},
		{study.TimeType, []string{"10:00"}, []string{"", "noon"}},
		{study.Choice, []string{"a"}, []string{"", "c", "a,b"}},
		{study.Choices, []string{"a", "a,b"}, []string{"", "a,c"}},
		{study.Acuity, []string{"etdrs:44", "snellen:20/40", "off:CF"}, []string{"", "Smith:1", "off:Smith"}},
		{study.Text, nil, []string{"", "a"}},
		{"", nil, []string{"1"}},
	}
	for _, test := range tests {
		guard := fieldGuard{typ: test.typ, codes: codes}
		for _, cell := range test.good {
			if !guard.holds(cell) {
				t.Errorf("%s refuses %q", test.typ, cell)
			}
		}
		for _, cell := range test.bad {
			if guard.holds(cell) {
				t.Errorf("%s accepts %q", test.typ, cell)
			}
		}
	}
}

func TestKeyedDigests(t *testing.T) {
	a, b := testIntake(t, testStudy(), testKeys("k")), testIntake(t, testStudy(), testKeys("other"))
	if a.NameDigest("x.csv") == b.NameDigest("x.csv") || a.RowDigest([]byte("r")) == b.RowDigest([]byte("r")) {
		t.Error("a digest does not depend on the key")
	}
	if a.NameDigest("x.csv") == a.NameDigest("y.csv") || len(a.NameDigest("x.csv")) != 64 {
		t.Error("names are not told apart")
	}
}

func TestIntakeRefuses(t *testing.T) {
	if _, err := NewIntake(testStudy(), testSource(), testKeys(""), seeded(1)); err == nil {
		t.Error("no keys, and the door opens")
	}
}

func BenchmarkSeal(b *testing.B) {
	s := testStudy()
	fields := make([]study.Field, 12)
	cells := make([]string, 12)
	for i := range fields {
		fields[i] = study.Field{Name: fmt.Sprintf("field_%d", i), Type: study.Decimal, Class: study.Clinical}
		cells[i] = "123.4"
		if i%3 == 0 {
			fields[i].Type, fields[i].Choices, cells[i] = study.Choice, []study.ChoiceItem{{Code: "R"}, {Code: "L"}}, "R"
		}
	}
	s.Forms[0].Fields = fields
	d := study.Draft{Answers: pack(cells...)}
	s.Forms = append(s.Forms, testStudy().Forms[0])
	private := draft()
	private.Form = 1
	in := testIntake(b, s, testKeys("k"))
	for _, bench := range []struct {
		name  string
		draft *study.Draft
	}{{"typed", &d}, {"private", &private}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := in.Seal(bench.draft, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkIdentify(b *testing.B) {
	in := testIntake(b, testStudy(), testKeys("k"))
	sources := make([]string, 50_000)
	for i := range sources {
		sources[i] = fmt.Sprint("mrn-", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		in.Identify(sources[i%len(sources)])
	}
}

// FuzzSeal gives the door arbitrary packed answers: it refuses, or every cell is
// typed, sealed or missing; and it never quotes.
func FuzzSeal(f *testing.F) {
	d := draft()
	f.Add(d.Answers, d.Missing, "brother", 3)
	f.Add(pack("L", study.MissingMark, "2012-02", study.MissingMark, study.MissingMark), "1=unknown,3=refused", "", -1)
	f.Add("", "9=x,=,", "", 99)
	f.Fuzz(func(t *testing.T, answers, missing, text string, field int) {
		in := testIntake(t, testStudy(), testKeys("k"))
		d := study.Draft{Answers: answers, Missing: missing, Private: []study.PrivateItem{{Field: field, Text: text}}}
		rec, err := in.Seal(&d, 1)
		if err != nil {
			if code(err) != "deid.untyped" || len(answers) > 12 && strings.Contains(err.Error(), answers) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		cells := strings.Split(rec.Answers, string(study.FieldSeparator))
		if len(cells) != 5 {
			t.Fatalf("%d cells pass", len(cells))
		}
		for _, cell := range cells[3:] {
			if cell != study.SealedMark && cell != study.MissingMark {
				t.Fatalf("private fields hold %q", cells[3:])
			}
		}
		if strings.Trim(cells[1], "0123456789-.") != "" && cells[1] != study.MissingMark {
			t.Fatalf("a decimal holds %q", cells[1])
		}
	})
}

// Hashes of source text that stand in keys are keyed: without the key, nobody can
// find out by trying which name or date they are of.
func TestFingerprintsAreKeyed(t *testing.T) {
	seal := func(k Keys, occurrence, visit string) study.Record {
		d := draft()
		d.Occurrence, d.Visit.Key = occurrence, visit
		r, err := testIntake(t, testStudy(), k).Seal(&d, 1)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	const plain = "u:01332c876518"
	keyed := seal(testKeys("one"), plain, plain+"/2026-01-26")
	if keyed.Occurrence == plain || len(keyed.Occurrence) != len(plain) || keyed.Visit.Key != keyed.Occurrence+"/2026-01-26" {
		t.Errorf("occurrence %s, visit %s", keyed.Occurrence, keyed.Visit.Key)
	}
	if again := seal(testKeys("one"), plain, plain+"/"); again.Occurrence != keyed.Occurrence {
		t.Error("the same text has another fingerprint")
	}
	if other := seal(testKeys("two"), plain, plain+"/"); other.Occurrence == keyed.Occurrence {
		t.Error("the fingerprint does not depend on the key")
	}
	for _, key := range []string{"", "R", "1", "u:1", "baseline", "d:2026-01-26", "3.5/2026-01-26"} {
		if r := seal(testKeys("one"), key, key); r.Occurrence != key || r.Visit.Key != key {
			t.Errorf("%s became %s and %s", key, r.Occurrence, r.Visit.Key)
		}
	}
}

func TestFactsAreTyped(t *testing.T) {
	s := testStudy()
	s.Facts = []study.FactSource{{Name: "va.seen_on", Kind: study.EventFact, Field: 2}, {Name: "va.surname", Kind: study.SexFact, Field: 4}}
	in := testIntake(t, s, testKeys("k"))
	for name, c := range map[string]struct {
		facts  []study.Fact
		passes bool
	}{
		"a date":             {[]study.Fact{{Index: 0, Value: "2026-01-26"}}, true},
		"running text":       {[]study.Fact{{Index: 0, Value: "last Monday"}}, false},
		"of a private field": {[]study.Fact{{Index: 1, Value: "Smith"}}, false},
		"of no field":        {[]study.Fact{{Index: 2, Value: "2026-01-26"}}, false},
	} {
		d := draft()
		d.Facts, d.Status, d.StatusOn, d.Change, d.Removed = c.facts, study.Lost, 20_000, study.ChangeExplained, true
		d.Private = append(d.Private, study.PrivateItem{Field: study.PrivateChangeReason, Text: "typing error"})
		rec, err := in.Seal(&d, 1)
		if (err == nil) != c.passes {
			t.Errorf("%s: %v", name, err)
		}
		if c.passes && (len(rec.Facts) != 1 || rec.Status != study.Lost || rec.StatusOn != 20_000 || rec.Change != study.ChangeExplained || !rec.Removed) {
			t.Errorf("%s: record %+v", name, rec)
		}
	}
	// Why a record was changed is not what it says.
	plain, reasoned := draft(), draft()
	reasoned.Private = append(reasoned.Private, study.PrivateItem{Field: study.PrivateChangeReason, Text: "typing error"})
	a, _ := in.Seal(&plain, 1)
	b, err := in.Seal(&reasoned, 1)
	if err != nil || a.Hash != b.Hash || len(b.Sealed) != len(a.Sealed)+1 {
		t.Errorf("hashes %x and %x, %v", a.Hash, b.Hash, err)
	}
	if got, err := OpenPrivate(testKeys("k"), s.Name, 1, "va", Slot(&s.Forms[0], study.PrivateChangeReason), b.Hash, b.Sealed[len(b.Sealed)-1].Box); err != nil || got != "typing error" {
		t.Errorf("the reason of a change opens to %q, %v", got, err)
	}
}

// Fingerprints are keyed wherever in a key they stand.
func TestFingerprintsInKeysAreKeyed(t *testing.T) {
	in := testIntake(t, testStudy(), testKeys("k"))
	const print = "u:01332c876518"
	keyed := in.unnamed(print)
	if keyed == print || len(keyed) != len(print) {
		t.Fatalf("the fingerprint became %q", keyed)
	}
	for key, want := range map[string]string{
		print + "/2026-01-01":          keyed + "/2026-01-01",
		"injection/" + print:           "injection/" + keyed,
		"d:2026-01-01#" + print:        "d:2026-01-01#" + keyed,
		print + "/2026-01-01#" + print: keyed + "/2026-01-01#" + keyed,
		"baseline":                     "baseline",
		"menu:01332c876518":            "menu:01332c876518",
		"injection/u:0133":             "injection/u:0133",
	} {
		if got := in.unnamed(key); got != want {
			t.Errorf("%q became %q; want %q", key, got, want)
		}
	}
}

// Of an attachment a keyed digest stays with the record, of a text nothing does.
func TestAttachmentsLeaveAKeyedDigest(t *testing.T) {
	s := testStudy()
	s.Forms[0].Fields[4] = study.Field{Name: "scan", Type: study.File, Class: study.Attachment}
	cells := func(key, file string) []string {
		d := draft()
		d.Answers, d.Missing = pack("R", "14.5", "2026-01-26", study.SealedMark, study.SealedMark), ""
		d.Private = append(d.Private, study.PrivateItem{Field: 4, Text: file})
		rec, err := testIntake(t, s, testKeys(key)).Seal(&d, 1)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(rec.Answers, string(study.FieldSeparator))
	}
	first := cells("k", "smith.pdf")
	if first[3] != study.SealedMark || !regexp.MustCompile(`^\x1a[0-9a-f]{64}$`).MatchString(first[4]) {
		t.Fatalf("answers %q", first)
	}
	if again := cells("k", "smith.pdf"); again[4] != first[4] {
		t.Error("the same attachment has two digests")
	}
	if cells("k", "jones.pdf")[4] == first[4] || cells("other", "smith.pdf")[4] == first[4] {
		t.Error("another attachment, or another key, gives the same digest")
	}
}
