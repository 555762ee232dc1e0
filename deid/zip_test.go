package deid

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"longitude/study"
)

// fewPeople are the prefixes of the rule, written out a second time.
const fewPeople = "036 059 063 102 202 203 204 205 369 556 692 753 772 790 821 823 830 831 878 879 884 890 893"

func TestZip3Table(t *testing.T) {
	if len(restricted) != 23 {
		t.Errorf("%d restricted prefixes", len(restricted))
	}
	for _, prefix := range strings.Fields(fewPeople) {
		if !restricted[prefix] {
			t.Errorf("%s is not restricted", prefix)
		}
	}
	if got, want := Zip3Table(), "1121e4063b5c3cab542cc51d47a77e16b9ac9e445c7ce8fd1580187e0b4009c0"; got != want {
		t.Errorf("fingerprint %s", got)
	}
}

func TestZip3(t *testing.T) {
	for code, want := range map[string]string{"10013": "100", "10013-1234": "100", "02139": "021", "03601": "000", "89301-0001": "000", "00401": "000", "00501": "005",
		"": "000", "1001": "000", "K1A 0B1": "000", "SW1A 1AA": "000", "1001a": "000", "100131234": "000"} {
		if got := zip3(code); got != want {
			t.Errorf("%q is told as %s, want %s", code, got, want)
		}
	}
}

// Of 100,000 codes no restricted prefix leaves, nor anything that is no prefix.
func TestNoRestrictedPrefixLeaves(t *testing.T) {
	s := testStudy()
	s.Forms[0].Fields[1] = study.Field{Name: "zip", Type: study.Zip, Class: study.Quasi}
	s.Deid = study.DeidPolicy{Profile: "expert"}
	r, err := NewRecipient(s, "main", testKeys("k"))
	if err != nil {
		t.Fatal(err)
	}
	b := &study.Batch{Vectors: make([]study.Vector, 1), Table: &study.Table{Name: "va", Columns: []study.Column{
		{Name: "zip", Kind: study.TextKind, Class: study.Quasi, Form: s.Forms[0].Name, Field: "zip"}}}}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 100_000 {
		code := fmt.Sprintf("%05d", rnd.IntN(100_000))
		switch i % 5 {
		case 1:
			code += fmt.Sprintf("-%04d", rnd.IntN(10_000))
		case 2:
			code = fmt.Sprint(rnd.IntN(10_000))
		case 3:
			code = strings.Fields(fewPeople)[i%23] + fmt.Sprintf("%02d", rnd.IntN(100))
		case 4:
			code = []string{"K1A 0B1", "M5V 3L9", "SW1A 1AA", "EC1A 1BB"}[rnd.IntN(4)]
		}
		b.Vectors[0].AppendText(code)
		b.Rows++
	}
	out, err := r.Apply(b)
	if err != nil {
		t.Fatal(err)
	}
	_, v := out.column("zip")
	told := map[string]bool{}
	for _, prefix := range v.Texts {
		told[prefix] = true
		if len(prefix) != 3 || !made(prefix, "0123456789") || strings.Contains(fewPeople, prefix) {
			t.Fatalf("%q leaves", prefix)
		}
	}
	if len(told) < 900 {
		t.Errorf("only %d prefixes are told", len(told))
	}
}
