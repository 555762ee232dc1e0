package release

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// many are participants with enough rows for counts to show.
func many(from, to int64) []person {
	var all []person
	for n := from; n < to; n++ {
		all = append(all, someone(n))
	}
	return all
}

func tableOf(d Diff, name string) TableDiff {
	i := slices.IndexFunc(d.Tables, func(t TableDiff) bool { return t.Name == name })
	if i < 0 {
		return TableDiff{}
	}
	return d.Tables[i]
}

// Rows that came, went and changed are counted by key, and small counts are hidden.
func TestCompare(t *testing.T) {
	first := build(t, trial(), plan(1), many(1, 41)...)
	p := plan(2)
	p.Previous, p.Before = "amd_obs_01_r001", beforeIn(t, first.dir)
	more := many(13, 61) // 12 leave, 20 come
	for i := range 15 {
		more[i].records[2].Answers = strings.Replace(more[i].records[2].Answers, "16.5", "16.6", 1)
	}
	second := build(t, trial(), p, more...)
	d, err := Compare(t.Context(), first.dir, second.dir)
	if err != nil {
		t.Fatal(err)
	}
	if d.From != "amd_obs_01_r001" || d.To != "amd_obs_01_r002" || d.Was != "1.0.0" || d.Now != "2.0.0" || !slices.Contains(d.Reasons, "participants were taken out") {
		t.Errorf("%+v", d)
	}
	people := tableOf(d, "participants")
	if people.State != "changed" || people.Added != "20" || people.Removed != "12" || people.Changed != "0" || people.Rows != "48" || people.Was != "40" {
		t.Errorf("participants: %+v", people)
	}
	va := tableOf(d, "visual_acuity")
	if va.Changed != "15" || len(va.Columns) != 1 || va.Columns[0] != (ColumnDelta{"iop_mmhg", "15"}) {
		t.Errorf("visual_acuity: %+v", va)
	}
	if s := tableOf(d, "visit_schedule"); s.State != "same" || s.Added != "" {
		t.Errorf("visit_schedule: %+v", s)
	}
	text := string(d.Markdown())
	for _, want := range []string{"# From amd_obs_01_r001 to amd_obs_01_r002", "Version 1.0.0 to 2.0.0", "| `participants` | changed | 48 (40) | 20 | 12 | 0 |", "| `visual_acuity.iop_mmhg` | 15 |"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
}

// One participant more or less does not show, neither as a count nor as a difference
// of two.
func TestCompareHidesFew(t *testing.T) {
	first := build(t, trial(), plan(1), many(1, 41)...)
	p := plan(2)
	p.Previous, p.Before = "amd_obs_01_r001", beforeIn(t, first.dir)
	second := build(t, trial(), p, many(2, 61)...)
	d, err := Compare(t.Context(), first.dir, second.dir)
	if err != nil {
		t.Fatal(err)
	}
	people := tableOf(d, "participants")
	if people.Removed != "<11" || people.Added != "20" || people.Rows == "59" || people.Was == "40" {
		t.Errorf("participants: %+v", people)
	}
}

// However rows are edited, the diff counts what a map of them says.
func TestCompareProperty(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for round := range 6 {
		was, now := editedRows(random), editedRows(random)
		m := &merge{key: []string{"participant_id", "seq"}, common: []string{"participant_id", "seq", "text", "number"}}
		m.columns = make([]int64, len(m.common))
		if err := m.walk(cursorOf(m, was, 1+random.IntN(7)), cursorOf(m, now, 1+random.IntN(7))); err != nil {
			t.Fatal(err)
		}
		var added, removed, changed int64
		for key, row := range now {
			if before, there := was[key]; !there {
				added++
			} else if before != row {
				changed++
			}
		}
		for key := range was {
			if _, there := now[key]; !there {
				removed++
			}
		}
		if m.added != added || m.removed != removed || m.changed != changed {
			t.Errorf("round %d: %d added, %d removed, %d changed, want %d, %d, %d", round, m.added, m.removed, m.changed, added, removed, changed)
		}
	}
}

type values struct {
	text   string
	number int64 // below 0 = NULL
}

func editedRows(random *rand.Rand) map[[2]int]values {
	rows := map[[2]int]values{}
	for range 400 {
		rows[[2]int{random.IntN(40), random.IntN(20)}] = values{fmt.Sprint(random.IntN(3)), random.Int64N(4) - 1}
	}
	return rows
}

// cursorOf gives rows in key order, n to a batch.
func cursorOf(m *merge, rows map[[2]int]values, n int) *cursor {
	table := &study.Table{Columns: []study.Column{{Name: "number", Nullable: true}, {Name: "participant_id", Kind: study.TextKind}, {Name: "seq"}, {Name: "text", Kind: study.TextKind}}}
	var keys [][2]int
	for key := range rows {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	var batches []*study.Batch
	for chunk := range slices.Chunk(keys, n) {
		b := &study.Batch{Table: table, Rows: len(chunk), Vectors: make([]study.Vector, 4)}
		for _, key := range chunk {
			row := rows[key]
			if row.number < 0 {
				b.Vectors[0].AppendNull(study.Int64Kind)
			} else {
				b.Vectors[0].AppendInt(row.number)
			}
			b.Vectors[1].AppendText(fmt.Sprintf("P%03d", key[0]))
			b.Vectors[2].AppendInt(int64(key[1]))
			b.Vectors[3].AppendText(row.text)
		}
		batches = append(batches, b)
	}
	c := &cursor{names: m, stop: func() {}, pull: func() (*study.Batch, error, bool) {
		if len(batches) == 0 {
			return nil, nil, false
		}
		b := batches[0]
		batches = batches[1:]
		return b, nil, true
	}}
	c.next()
	return c
}

// Rows about nobody are in the order in which they are read, not that of their key.
func TestRowsInAnyOrder(t *testing.T) {
	table := &study.Table{Columns: []study.Column{{Name: "codelist", Kind: study.TextKind}, {Name: "position", Kind: study.Int64Kind}}}
	rows := func(names ...string) *cursor {
		b := newBatch(table)
		for _, name := range names {
			b.Rows++
			b.Vectors[0].AppendText(name)
			b.Vectors[1].AppendInt(1)
		}
		m := &merge{key: []string{"codelist", "position"}, common: []string{"codelist", "position"}}
		c := &cursor{names: m}
		c.pull, c.stop = iter.Pull2(sorted(func(yield func(*study.Batch, error) bool) { yield(b, nil) }, m.key))
		c.next()
		return c
	}
	m := &merge{common: []string{"codelist", "position"}, columns: make([]int64, 2)}
	if err := m.walk(rows("visits", "eyes"), rows("visits", "methods", "eyes")); err != nil || m.added != 1 || m.removed != 0 || m.changed != 0 {
		t.Errorf("%+v, %v", m, err)
	}
}
