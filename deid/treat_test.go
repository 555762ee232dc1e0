package deid

import (
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

func TestRoundTo(t *testing.T) {
	for _, test := range [][3]int64{{12, 5, 10}, {13, 5, 15}, {-12, 5, -10}, {-13, 5, -15}, {5, 10, 0}, {15, 10, 20}, {-5, 10, 0}, {-15, 10, -20}, {25, 10, 20}, {7, 1, 7}, {0, 3, 0}} {
		if got := roundTo(test[0], test[1]); got != test[2] {
			t.Errorf("%d to multiples of %d is %d, want %d", test[0], test[1], got, test[2])
		}
	}
}

// treated releases one column of a decimal field with a treatment.
func treatedColumn(t *testing.T, treatment study.Treatment, values ...int64) (Batch, *Recipient, error) {
	t.Helper()
	s := testStudy()
	s.Deid.Profile = "expert"
	s.Forms[0].Fields[1].Release = treatment
	r, err := NewRecipient(s, "main", testKeys("k"))
	if err != nil {
		t.Fatal(err)
	}
	b := &study.Batch{Rows: len(values), Vectors: []study.Vector{{Ints: values}}, Table: &study.Table{Name: "va", Columns: []study.Column{
		{Name: "iop", Kind: study.DecimalKind, Scale: 1, Class: study.Clinical, Form: "va", Field: "iop"}}}}
	out, err := r.Apply(b)
	return out, r, err
}

func TestNumericTreatments(t *testing.T) {
	for _, test := range []struct {
		name      string
		treatment study.Treatment
		want      []int64
		masking   string
		counts    map[string]string
	}{
		{"kept", study.Treatment{}, []int64{0, 104, 155, 3100}, "kept", nil},
		{"rounded", study.Treatment{Action: study.Round, Step: "0.5"}, []int64{0, 105, 155, 3100}, "rounded to multiples of 0.5", map[string]string{"rounded": "<11"}},
		{"clipped", study.Treatment{Action: study.Clip, Low: "5", High: "150.5"}, []int64{50, 104, 155, 1505}, "clipped to 5 to 150.5", map[string]string{"clipped": "<11"}},
	} {
		out, r, err := treatedColumn(t, test.treatment, 0, 104, 155, 3100)
		if err != nil {
			t.Fatal(err)
		}
		c, v := out.column("iop")
		if !slices.Equal(v.Ints, test.want) || c.Masking != test.masking {
			t.Errorf("%s: %v, %q, want %v", test.name, v.Ints, c.Masking, test.want)
		}
		if got := r.Report().Columns[0].Counts; len(got) != len(test.counts) || got["rounded"] != test.counts["rounded"] || got["clipped"] != test.counts["clipped"] {
			t.Errorf("%s: the report counts %v", test.name, got)
		}
	}
	if out, _, err := treatedColumn(t, study.Treatment{Action: study.Drop}, 1); err != nil || len(out.b.Table.Columns) != 0 {
		t.Errorf("dropped: %v, %v", out.b.Table.Columns, err)
	}
	for _, bad := range []study.Treatment{{Action: study.Round, Step: "0.05"}, {Action: study.Round, Step: "0"}, {Action: study.Round, Step: "x"}, {Action: study.Clip, Low: "5", High: "1"}} {
		if _, _, err := treatedColumn(t, bad, 1); code(err) != "deid.treatment" {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// Text leaves as a yes or no, a file as its keyed digest, and a reviewed text only
// when two people signed.
func TestSealedTreatments(t *testing.T) {
	s := testStudy()
	s.Deid = study.DeidPolicy{Profile: "expert", Expert: study.Determination{SHA256: "x", Date: study.NoDate, Expires: study.NoDate}}
	s.Forms[0].Fields = []study.Field{
		{Name: "had_note", Type: study.Text, Class: study.FreeText, Release: study.Treatment{Action: study.HasText}},
		{Name: "scan", Type: study.File, Class: study.Attachment, Release: study.Treatment{Action: study.DigestOnly}},
		{Name: "story", Type: study.Text, Class: study.FreeText, Release: study.Treatment{Action: study.Reviewed}},
		{Name: "comments", Type: study.Text, Class: study.FreeText},
	}
	r, err := NewRecipient(s, "main", testKeys("k"))
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string, kind study.Kind) study.Column {
		return study.Column{Name: name, Kind: kind, Class: study.Clinical, Form: "va", Field: name}
	}
	b := &study.Batch{Rows: 1, Participants: []int64{7}, Vectors: []study.Vector{{Ints: []int64{1}}, {Texts: []string{"d1"}}, {Texts: []string{"fine"}}, {Texts: []string{"Mr Smith"}}},
		Table: &study.Table{Name: "va", Columns: []study.Column{column("had_note", study.BoolKind), column("scan", study.TextKind), column("story", study.TextKind), column("comments", study.TextKind)}}}
	marker, err := NewTextMarker(testKeys("k"), s.Name)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(participant int64, form, field, text, signer string) {
		r.Reviewed(marker.Mark(participant, form, field, text), signer)
	}
	for _, signer := range []string{"ada", "bob"} { // of others, in other places, and another text
		sign(8, "va", "story", "fine", signer)
		sign(7, "oct", "story", "fine", signer)
		sign(7, "va", "comments", "fine", signer)
		sign(7, "va", "story", "fine.", signer)
	}
	sign(7, "va", "story", "fine", "ada")
	sign(7, "va", "story", "fine", "ada")
	if _, err := r.Apply(b); code(err) != "deid.unreviewed" || strings.Contains(err.Error(), "fine") {
		t.Fatalf("one signer twice: %v", err)
	}
	sign(7, "va", "story", "fine", "bob")
	out, err := r.Apply(b)
	if err != nil || names(out.b.Table) != "had_note scan story" {
		t.Fatalf("released %v, %v", out.b.Table, err)
	}
	if _, v := out.column("scan"); len(v.Texts[0]) != 26 || strings.Contains(v.Texts[0], "d1") {
		t.Errorf("the digest leaves as %q", v.Texts[0])
	}
	for _, identifier := range r.Identifiers() {
		if identifier.Status != NotEvaluated {
			t.Errorf("a reviewed text leaves and %s is %s", identifier.Letter, identifier.Status)
		}
	}
	if r.Claim() != "expert" {
		t.Errorf("the claim is %s", r.Claim())
	}
	// A column of such a field that is of another kind than agreed does not leave.
	b.Table.Columns[0].Kind, b.Vectors[0] = study.TextKind, study.Vector{Texts: []string{"Mr Smith"}}
	r.forget()
	if out, err := r.Apply(b); err != nil || names(out.b.Table) != "scan story" {
		t.Errorf("a text under has_text: %v, %v", out.b.Table, err)
	}
}
