package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"longitude/internal/audit"
	"longitude/study"
)

// The event of a batch names the fields that a version says otherwise than the one
// before, and nothing of records that are new, removed or late.
func TestBatchesNameWhatChanged(t *testing.T) {
	s := open(t, amd())
	ids := enrol(t, s, "A", "B")
	answer := func(id int64, version int32, cells ...string) study.RecordVersion {
		return packed(id, 1, "R", version, strings.Join(cells, "\x1f"))
	}
	const none, hidden = study.MissingMark, study.SealedMark
	first := []string{"R", "44", "15.5", "true", none, "2012-02", hidden, "7"}
	with := func(more ...string) []string { // pairs of place and value
		cells := slices.Clone(first)
		for i := 0; i < len(more); i += 2 {
			cells[int(more[i][0]-'0')] = more[i+1]
		}
		return cells
	}
	version := int32(1)
	next := func(change func(*study.RecordVersion), cells []string) study.RecordVersion {
		version++
		v := answer(ids[0], version, cells...)
		if change != nil {
			change(&v)
		}
		return v
	}
	for _, step := range []struct {
		name    string
		records []study.RecordVersion
		want    string
	}{
		{"first load", []study.RecordVersion{answer(ids[0], 1, first...), answer(ids[1], 1, first...)}, ""},
		{"two fields", []study.RecordVersion{next(nil, with("1", "45", "2", "16.0"))}, "acuity.iop acuity.letters"},
		{"two records", []study.RecordVersion{next(nil, with("1", "46", "2", "16.0")), answer(ids[1], 2, with("3", "false")...)}, "acuity.dilated acuity.letters"},
		{"a reason", []study.RecordVersion{next(func(v *study.RecordVersion) { v.Record.Missing = "4=unknown" }, with("1", "46", "2", "16.0"))}, "acuity.read_at"},
		{"only what is sealed", []study.RecordVersion{next(func(v *study.RecordVersion) { v.Record.Missing = "4=unknown" }, with("1", "46", "2", "16.0"))}, "acuity.note"},
		{"a text taken away", []study.RecordVersion{next(nil, with("6", none, "1", "46", "2", "16.0"))}, "acuity.note acuity.read_at"},
		{"late", []study.RecordVersion{next(func(v *study.RecordVersion) { v.Late = true }, with("1", "12"))}, ""},
		{"against what was current", []study.RecordVersion{next(nil, with("6", none, "1", "46", "2", "17.0"))}, "acuity.iop"},
		{"twice in one batch", []study.RecordVersion{next(nil, with("6", none, "1", "46", "2", "18.0")), next(nil, with("6", none, "1", "46", "2", "17.0"))}, "acuity.iop"},
		{"removed", []study.RecordVersion{next(func(v *study.RecordVersion) { v.Record.Removed, v.Record.Answers = true, "" }, nil)}, ""},
		{"back again", []study.RecordVersion{next(nil, first)}, ""},
	} {
		write(t, s, "a", &study.Changes{Records: step.records})
		e, ok := audit.ParseLeaf(one[[]byte](t, s, `SELECT leaf FROM audit.event WHERE action = 'batch.recorded' ORDER BY event_id DESC LIMIT 1`))
		if got := strings.Join(e.Changed, " "); !ok || got != step.want {
			t.Errorf("%s: changed %q, want %q", step.name, got, step.want)
		}
	}
}

// More names than an event takes are counted.
func TestChangedNamesAreBounded(t *testing.T) {
	in := &Ingest{changed: map[string]bool{}}
	for i := range maxChanged + 3 {
		in.changed[fmt.Sprintf("form.field_%04d", i)] = true
	}
	if names, more := in.changedNames(); len(names) != maxChanged || more != 3 || !slices.IsSorted(names) {
		t.Errorf("%d names and %d more", len(names), more)
	}
}
