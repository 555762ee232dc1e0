package postgres

import (
	"reflect"
	"slices"
	"testing"

	"longitude/internal/status"
	"longitude/study"
)

// TestShapes goes through the life of a source's shape: set by the first object,
// evolved, drifted aside, lifted by a person, set again.
func TestShapes(t *testing.T) {
	s := open(t, amd())
	narrow := study.Shape{Columns: []study.ColumnShape{{Name: "subject", Kind: "text"}, {Name: "iop"}}, Dialect: "utf-8"}
	wide := study.Shape{Columns: append(slices.Clone(narrow.Columns), study.ColumnShape{Name: "note", Kind: "text"}), Dialect: "utf-8"}
	added := study.Drift{Kind: study.NewColumn, Column: "note", To: "text", Action: study.Evolve}
	changed := study.Drift{Kind: study.TypeChange, Column: "iop", From: "number", To: "text", Mapped: true, Action: study.QuarantineDrift}
	accept := decision(study.AcceptShape)
	accept.Source = "a"
	for i, step := range []struct {
		accepted study.Shape
		ok       bool
		record   study.Shape
		drifts   []study.Drift
		shapes   int
		decide   bool
	}{
		{study.Shape{}, false, narrow, nil, 1, false},
		{narrow, true, narrow, nil, 1, false},
		{narrow, true, wide, []study.Drift{added}, 2, false},
		{wide, true, wide, []study.Drift{changed}, 2, true},
		{study.Shape{}, false, wide, nil, 3, false},
		{wide, true, wide, nil, 3, false},
	} {
		in := begin(t, s, "amd-obs")
		if got, ok, err := in.AcceptedShape(t.Context(), "a"); err != nil || ok != step.ok || !reflect.DeepEqual(got, step.accepted) {
			t.Errorf("step %d: accepted %+v %v, want %+v, %v", i, got, ok, step.accepted, err)
		}
		if err := in.RecordShape(t.Context(), "a", step.record, step.drifts); err != nil {
			t.Fatal(err)
		}
		finish(t, in, batchOf("a", string(rune('0'+i))))
		if n := one[int](t, s, `SELECT count(*) FROM research.source_shape`); n != step.shapes {
			t.Errorf("step %d: %d shapes, want %d", i, n, step.shapes)
		}
		if step.decide {
			decide(t, s, accept)
		}
	}
	list, err := s.Drift(t.Context(), status.DriftFilter{Study: "amd-obs", Source: "a"})
	if err != nil || len(list) != 2 || list[0].ID < list[1].ID || list[0].At.IsZero() || list[0].Batch == 0 {
		t.Fatalf("drift %+v, %v", list, err)
	}
	for i, want := range []study.Drift{changed, added} {
		d := list[i]
		if got := (study.Drift{Kind: study.DriftKind(d.Kind), Column: d.Column, From: d.From, To: d.To, Mapped: d.Mapped, Action: study.DriftAction(d.Action)}); got != want {
			t.Errorf("drift %+v, want %+v", got, want)
		}
	}
	for name, f := range map[string]status.DriftFilter{"kind": {Kind: "new_column"}, "page": {Page: status.Page{After: list[0].ID}}} {
		if got, err := s.Drift(t.Context(), f); err != nil || len(got) != 1 || got[0].ID != list[1].ID {
			t.Errorf("by %s: %+v, %v", name, got, err)
		}
	}
	if none, err := s.Drift(t.Context(), status.DriftFilter{Source: "b"}); err != nil || none == nil || len(none) != 0 {
		t.Errorf("drift of another source: %v, %v", none, err)
	}
	shape, err := s.Shape(t.Context(), "a")
	if err != nil || shape.Study != "amd-obs" || shape.Dialect != "utf-8" || shape.Since.IsZero() ||
		!slices.Equal(shape.Columns, []status.ColumnShape{{Name: "subject", Kind: "text"}, {Name: "iop"}, {Name: "note", Kind: "text"}}) {
		t.Errorf("shape %+v, %v", shape, err)
	}
	if _, err := s.Shape(t.Context(), "b"); !notFound(err) {
		t.Errorf("the shape of a source never read: %v", err)
	}
}

// What stops a source is recorded and audited once for a version of an object,
// without a batch, and listed and counted with what batches brought.
func TestFreezes(t *testing.T) {
	s := open(t, amd())
	s.Configure([]ConfiguredSource{{Name: "a", Study: "amd-obs", Connector: "folder"}})
	met := study.Frozen{Source: "a", Item: "item", Object: study.Digest{1}, RunID: run(t, s, "sync", "a", study.Counts{}, nil),
		Drifts: []study.Drift{{Kind: study.NewColumn, Column: "note", Action: study.Freeze}, {Kind: study.TypeChange, Column: "iop", From: "number", To: "text", Mapped: true, Action: study.Evolve}}}
	other := met
	other.Object = study.Digest{2}
	for i, f := range []study.Frozen{met, met, other, met} {
		if err := s.RecordFreeze(t.Context(), "amd-obs", "test", f); err != nil {
			t.Fatal(err)
		}
		list, err := s.Drift(t.Context(), status.DriftFilter{Study: "amd-obs", Source: "a"})
		if want := []int{2, 2, 4, 4}[i]; err != nil || len(list) != want {
			t.Fatalf("after %d: %+v, %v", i, list, err)
		}
		if d := list[len(list)-1]; d.Batch != 0 || d.Run != met.RunID || d.Study != "amd-obs" || d.Column != "note" || d.Action != "freeze" || d.At.IsZero() {
			t.Errorf("listed as %+v", d)
		}
		if n := one[int](t, s, `SELECT count(*) FROM audit.event WHERE action = 'source.frozen'`); n != []int{1, 1, 2, 2}[i] {
			t.Errorf("after %d: %d audit events", i, n)
		}
	}
	if got, err := s.Sources(t.Context()); err != nil || got[0].Drift != (status.DriftCount{Evolve: 2, Freeze: 2}) {
		t.Errorf("counted %+v, %v", got, err)
	}
	in := begin(t, s, "amd-obs")
	if _, ok, err := in.AcceptedShape(t.Context(), "a"); ok || err != nil {
		t.Errorf("a freeze sets a shape: %v %v", ok, err)
	}
}
