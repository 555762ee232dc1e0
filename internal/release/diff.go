package release

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	"longitude/internal/columnar"
	"longitude/study"
)

// Diff says how a release differs from another of the same study. Counts print as in
// everything that people read: small ones are hidden, and so is what would give them
// away.
type Diff struct {
	From    string      `json:"from"`
	To      string      `json:"to"`
	Was     string      `json:"version_was"`
	Now     string      `json:"version_now"`
	Change  string      `json:"change"`
	Reasons []string    `json:"reasons"`
	Tables  []TableDiff `json:"tables"`
}

// TableDiff is what became of the rows of a table, by its key.
type TableDiff struct {
	Name    string        `json:"name"`
	State   string        `json:"state"` // same, changed, new, removed, or rekeyed: rows have no counterparts
	Rows    string        `json:"rows"`
	Was     string        `json:"rows_was"`
	Added   string        `json:"added,omitempty"`
	Removed string        `json:"removed,omitempty"`
	Changed string        `json:"changed,omitempty"`
	Columns []ColumnDelta `json:"columns,omitempty"` // of changed rows; those whose values differ in any
}

// ColumnDelta counts the rows of both releases in which a column has another value.
type ColumnDelta struct {
	Name    string `json:"name"`
	Changed string `json:"changed"`
}

// Compare reads two release folders and says how that in to differs from that in from.
// Tables with one content are not read, nor are parts that are the same file. It
// trusts both: verify them before.
func Compare(ctx context.Context, from, to string) (Diff, error) {
	a, err := openSide(ctx, from)
	if err != nil {
		return Diff{}, err
	}
	defer a.close()
	b, err := openSide(ctx, to)
	if err != nil {
		return Diff{}, err
	}
	defer b.close()
	if a.manifest.Longitude.Study != b.manifest.Longitude.Study {
		return Diff{}, &study.Error{Code: "release.diff", Op: "comparing two releases: they are of different studies", Exit: study.ExitUsage,
			Hint: "compare releases of one study"}
	}
	found := compare(a.manifest, b.manifest, goneFrom(a.before.Participants, b.before.Participants))
	d := Diff{From: a.manifest.ID, To: b.manifest.ID, Was: a.manifest.Version, Now: b.manifest.Version, Change: found.change.String(), Reasons: found.reasons}
	was := map[string]*Resource{}
	for i := range a.manifest.Resources {
		was[a.manifest.Resources[i].Name] = &a.manifest.Resources[i]
	}
	for i := range b.manifest.Resources {
		now := &b.manifest.Resources[i]
		t, err := compareTable(ctx, a, b, was[now.Name], now)
		if err != nil {
			return Diff{}, err
		}
		d.Tables = append(d.Tables, t)
		delete(was, now.Name)
	}
	for i := range a.manifest.Resources {
		if r := &a.manifest.Resources[i]; was[r.Name] != nil {
			d.Tables = append(d.Tables, TableDiff{Name: r.Name, State: "removed", Rows: "0", Was: (teller{}).alone(r.Rows)})
		}
	}
	return d, nil
}

// side is one of the two releases.
type side struct {
	root     *os.Root
	before   *Before
	manifest *Manifest
}

func openSide(ctx context.Context, dir string) (*side, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, unreadableRelease(err)
	}
	before, err := ReadBefore(ctx, dir)
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return &side{root, before, before.Manifest}, nil
}

func unreadableRelease(err error) error {
	hint := "check its permissions"
	if errors.Is(err, fs.ErrNotExist) {
		hint = "name the folder of a release, the one with " + envelopeName + " in it, or the id of one in `longitude release list`"
	}
	return &study.Error{Code: "release.diff", Op: "comparing two releases: a folder cannot be read", Exit: study.ExitEnvironment, Hint: hint}
}

func (s *side) close() { _ = s.root.Close() }

func compareTable(ctx context.Context, a, b *side, was, now *Resource) (TableDiff, error) {
	t := TableDiff{Name: now.Name}
	switch {
	case was == nil:
		t.State, t.Rows, t.Was = "new", teller{}.alone(now.Rows), "0"
		return t, nil
	case was.Content == now.Content && sameColumns(was, now):
		t.State, t.Rows, t.Was = "same", teller{}.alone(now.Rows), teller{}.alone(was.Rows)
		return t, nil
	case !slices.Equal(was.Schema.PrimaryKey, now.Schema.PrimaryKey):
		t.State, t.Rows, t.Was = "rekeyed", teller{}.alone(now.Rows), teller{}.alone(was.Rows)
		return t, nil
	}
	m := newMerge(was, now)
	if err := m.run(ctx, a, b, was, now); err != nil {
		return t, err
	}
	m.tell(&t, was.Rows, now.Rows)
	return t, nil
}

func sameColumns(was, now *Resource) bool {
	return slices.EqualFunc(was.Schema.Fields, now.Schema.Fields, func(x, y Field) bool { return x.Name == y.Name && x.Type == y.Type })
}

// merge walks two tables in the order of their common key.
type merge struct {
	key                     []string
	common                  []string // columns of both, of one type
	added, removed, changed int64
	columns                 []int64 // changed, per common column
}

func newMerge(was, now *Resource) *merge {
	m := &merge{key: now.Schema.PrimaryKey}
	for _, f := range now.Schema.Fields {
		if slices.ContainsFunc(was.Schema.Fields, func(o Field) bool { return o.Name == f.Name && o.Type == f.Type }) {
			m.common = append(m.common, f.Name)
		}
	}
	m.columns = make([]int64, len(m.common))
	return m
}

// run compares part by part where both are cut alike, otherwise all at once.
func (m *merge) run(ctx context.Context, a, b *side, was, now *Resource) error {
	if len(was.Files) != len(now.Files) {
		return m.walk(newCursor(ctx, a, was.Files, m), newCursor(ctx, b, now.Files, m))
	}
	for i := range now.Files {
		if was.Files[i].SHA256 == now.Files[i].SHA256 {
			continue
		}
		if err := m.walk(newCursor(ctx, a, was.Files[i:i+1], m), newCursor(ctx, b, now.Files[i:i+1], m)); err != nil {
			return err
		}
	}
	return nil
}

func (m *merge) walk(was, now *cursor) error {
	defer was.stop()
	defer now.stop()
	for {
		if err := errors.Join(was.err, now.err); err != nil {
			return err
		}
		switch order := was.compare(now); {
		case was.done && now.done:
			return nil
		case now.done || !was.done && order < 0:
			m.removed++
			was.next()
		case was.done || order > 0:
			m.added++
			now.next()
		default:
			m.row(was, now)
			was.next()
			now.next()
		}
	}
}

func (m *merge) row(was, now *cursor) {
	differs := false
	for c := range m.common {
		if !sameValue(was.column(was.common[c]), was.row, now.column(now.common[c]), now.row) {
			m.columns[c]++
			differs = true
		}
	}
	if differs {
		m.changed++
	}
}

func sameValue(a *study.Vector, i int, b *study.Vector, k int) bool {
	if a.Null(i) || b.Null(k) {
		return a.Null(i) == b.Null(k)
	}
	switch {
	case len(a.Texts) > 0 && len(b.Texts) > 0:
		return a.Texts[i] == b.Texts[k]
	case len(a.Floats) > 0 && len(b.Floats) > 0:
		return a.Floats[i] == b.Floats[k]
	}
	return len(a.Ints) > 0 && len(b.Ints) > 0 && a.Ints[i] == b.Ints[k]
}

// tell writes the counts down, small ones hidden. Where the rows that came or went are
// few, the totals are rounded: their difference would tell.
func (m *merge) tell(t *TableDiff, was, now int64) {
	t.State = "changed"
	t.Added, t.Removed, t.Changed = teller{}.alone(m.added), teller{}.alone(m.removed), teller{}.alone(m.changed)
	t.Rows, t.Was = teller{}.alone(now), teller{}.alone(was)
	if small(m.added) || small(m.removed) {
		t.Rows, t.Was = rounded(now), rounded(was)
	}
	for c, n := range m.columns {
		if n > 0 {
			t.Columns = append(t.Columns, ColumnDelta{m.common[c], teller{}.alone(n)})
		}
	}
}

// cursor is at a row of a table.
type cursor struct {
	pull   func() (*study.Batch, error, bool)
	stop   func()
	names  *merge
	batch  *study.Batch
	row    int
	key    []int // places of the key's columns
	common []int
	done   bool
	err    error
}

func newCursor(ctx context.Context, s *side, files []File, m *merge) *cursor {
	c := &cursor{names: m}
	rows := s.rows(ctx, files)
	if m.key[0] != participantColumn().Name { // small, and in the order in which they are read
		rows = sorted(rows, m.key)
	}
	c.pull, c.stop = iter.Pull2(rows)
	c.next()
	return c
}

// rows are those of parts, one after the other.
func (s *side) rows(ctx context.Context, files []File) iter.Seq2[*study.Batch, error] {
	return func(yield func(*study.Batch, error) bool) {
		for _, f := range files {
			file, err := s.root.Open(f.Path)
			if err != nil {
				yield(nil, unreadableRelease(err))
				return
			}
			for b, err := range columnar.Read(ctx, file, f.Path) {
				if !yield(b, err) || err != nil {
					_ = file.Close()
					return
				}
			}
			_ = file.Close()
		}
	}
}

// sorted are the rows in the order of their key, one by one.
func sorted(rows iter.Seq2[*study.Batch, error], key []string) iter.Seq2[*study.Batch, error] {
	return func(yield func(*study.Batch, error) bool) {
		var all []*cursor
		for b, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			b.Participants, b.Anchors = make([]int64, b.Rows), make([]study.Date, b.Rows) // nobody's
			for i := range b.Rows {
				all = append(all, &cursor{batch: b, row: i, key: places(b.Table, key)})
			}
			if slices.Contains(places(b.Table, key), -1) {
				yield(b, nil) // the reader says so
				return
			}
		}
		slices.SortFunc(all, (*cursor).compare)
		for _, c := range all {
			if !yield(rowsOf(c.batch, c.row, c.row+1), nil) {
				return
			}
		}
	}
}

func (c *cursor) column(i int) *study.Vector { return &c.batch.Vectors[i] }

// next goes to the next row.
func (c *cursor) next() {
	if c.row++; c.batch != nil && c.row < c.batch.Rows {
		return
	}
	for c.row = 0; ; {
		b, err, more := c.pull()
		if c.done, c.err = !more || err != nil, err; c.done {
			return
		}
		if b.Rows > 0 {
			c.batch, c.key, c.common = b, places(b.Table, c.names.key), places(b.Table, c.names.common)
			if slices.Contains(c.key, -1) || slices.Contains(c.common, -1) {
				c.done, c.err = true, &study.Error{Code: "release.diff", Op: "comparing two releases: a part has other columns than its manifest says", Exit: study.ExitBlocked,
					Hint: "verify both with `longitude release verify --deep`"}
			}
			return
		}
	}
}

func places(t *study.Table, names []string) []int {
	at := make([]int, len(names))
	for i, name := range names {
		at[i] = slices.IndexFunc(t.Columns, func(c study.Column) bool { return c.Name == name })
	}
	return at
}

// compare orders the rows of two cursors by key.
func (c *cursor) compare(o *cursor) int {
	if c.done || o.done {
		return 0
	}
	for i := range c.key {
		a, b := c.column(c.key[i]), o.column(o.key[i])
		var order int
		if len(a.Texts) > 0 {
			order = cmp.Compare(a.Texts[c.row], b.Texts[o.row])
		} else {
			order = cmp.Compare(a.Ints[c.row], b.Ints[o.row])
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

// Markdown is the diff for people.
func (d Diff) Markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# From %s to %s\n\nVersion %s to %s: %s\n", d.From, d.To, d.Was, d.Now, d.Change)
	if len(d.Reasons) > 0 {
		b.WriteString("\n- " + strings.Join(d.Reasons, "\n- ") + "\n")
	}
	b.WriteString("\n| table | state | rows (were) | added | removed | changed |\n|---|---|--:|--:|--:|--:|\n")
	for _, t := range d.Tables {
		fmt.Fprintf(&b, "| `%s` | %s | %s (%s) | %s | %s | %s |\n", t.Name, t.State, t.Rows, t.Was, t.Added, t.Removed, t.Changed)
	}
	head := false
	for _, t := range d.Tables {
		for _, c := range t.Columns {
			if !head {
				b.WriteString("\n| column | changed in rows |\n|---|--:|\n")
				head = true
			}
			fmt.Fprintf(&b, "| `%s.%s` | %s |\n", t.Name, c.Name, c.Changed)
		}
	}
	return b.Bytes()
}
