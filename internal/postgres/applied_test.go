package postgres

import (
	"crypto/sha256"
	"reflect"
	"strings"
	"testing"
)

func TestDocumentsInForce(t *testing.T) {
	s := open(t, amd())
	document := func(kind, name, body string) Document {
		return Document{Kind: kind, Name: name, Body: body, Digest: sha256.Sum256([]byte(body))}
	}
	if docs, err := s.InForce(t.Context()); err != nil || len(docs) != 0 {
		t.Errorf("before anything: %v, %v", docs, err)
	}
	first, second, drop, again := document("study", "amd-obs", "one"), document("study", "amd-obs", "two"), document("source", "drop", "from"), document("study", "amd-obs", "one")
	for i, step := range []struct {
		apply []Document
		force []Document
	}{
		{[]Document{first, drop}, []Document{first, drop}},
		{[]Document{second}, []Document{second, drop}},
		{[]Document{again}, []Document{first, drop}}, // back to what was before
		{[]Document{{Kind: "source", Name: "drop"}}, []Document{first}},
	} {
		if err := s.Apply(t.Context(), step.apply, "plan-1", "rejudge", "dm", "window of month_1 changes"); err != nil {
			t.Fatal(err)
		}
		want := map[[2]string]Document{}
		for _, d := range step.force {
			want[[2]string{d.Kind, d.Name}] = d
		}
		if got, err := s.InForce(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("step %d: %+v, want %+v, %v", i, got, want, err)
		}
	}
	leaf := one[string](t, s, `SELECT convert_from(leaf, 'UTF8') FROM audit.event WHERE action = 'config.applied' ORDER BY event_id LIMIT 1`)
	for _, said := range []string{`"actor":"dm"`, `"plan":"plan-1"`, `"source/drop":"` + drop.Digest.String()} {
		if !strings.Contains(leaf, said) {
			t.Errorf("the audit event %s lacks %s", leaf, said)
		}
	}
	// Each event goes on from where the one before it left the documents.
	changed := one[string](t, s, `SELECT convert_from(leaf, 'UTF8') FROM audit.event WHERE action = 'config.applied' ORDER BY event_id OFFSET 1 LIMIT 1`)
	for _, said := range []string{`"changed":["study/amd-obs"]`, `"before":{"study/amd-obs":"` + first.Digest.String(), `"documents":{"study/amd-obs":"` + second.Digest.String(),
		`"before":"` + digestOfAll(map[string]string{"study/amd-obs": first.Digest.String()}).String(),
		`"after":"` + digestOfAll(map[string]string{"study/amd-obs": second.Digest.String()}).String()} {
		if !strings.Contains(changed, said) {
			t.Errorf("the audit event %s lacks %s", changed, said)
		}
	}
	if diff := one[string](t, s, `SELECT convert_from(payload, 'UTF8') FROM audit.payload ORDER BY event_id LIMIT 1`); diff != "window of month_1 changes" {
		t.Errorf("the payload is %q", diff)
	}
	if n := one[int](t, s, `SELECT count(*) FROM audit.event WHERE action = 'config.applied'`); n != 4 {
		t.Errorf("%d audit events", n)
	}
}
