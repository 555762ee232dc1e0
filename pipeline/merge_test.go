package pipeline

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"longitude/study"
	"longitude/transform"
)

// keepParts keeps what a version says, as merging reads it again.
func (m *memory) keepParts(v study.RecordVersion, ref *study.VersionRef) {
	c := study.VersionContent{Answers: v.Record.Answers, Missing: v.Record.Missing, Findings: v.Record.Findings}
	if strings.Contains(c.Answers, study.UntoldMark) {
		panic("what was not told is stored")
	}
	id := study.VersionID{Participant: v.Record.Participant, Key: v.Key, Version: v.Version}
	if p := v.Record.Part; p != nil {
		ref.InPart, ref.Derived = v.Record.InPart(), p.Derived
		c.Fields, c.Digests = study.ParseFieldPlaces(p.Fields), p.Digests
	}
	m.contents[id] = c
}

func (x *transaction) Contents(_ context.Context, versions []study.VersionID) (out []study.VersionContent, err error) {
	for _, id := range versions {
		out = append(out, x.contents[id])
	}
	return out, nil
}

// changes is a format of transactions, one a line: a kind (set, put whole, drop), the
// participant, when, and field=value pairs; "field=" says that there is nothing.
type changes struct{}

func (changes) Check(study.FormatSpec) map[string]string { return nil }

func (changes) Decode(_ context.Context, spec study.FormatSpec, r io.Reader) iter.Seq2[*transform.Rows, error] {
	return func(yield func(*transform.Rows, error) bool) {
		rows := &transform.Rows{Columns: spec.Columns, First: 1}
		for lines := bufio.NewScanner(r); lines.Scan(); {
			words := strings.Fields(lines.Text())
			cells := make([][]byte, len(spec.Columns))
			set := func(column, value string) {
				if i := slices.Index(spec.Columns, column); i >= 0 {
					cells[i] = []byte(value)
				}
			}
			set("PID", words[1])
			set("MODIFIED", words[2])
			if words[0] == "drop" {
				set("GONE", "yes")
			}
			for _, pair := range words[3:] {
				column, value, _ := strings.Cut(pair, "=")
				set(column, value)
			}
			rows.Cells, rows.InPart = append(rows.Cells, cells...), append(rows.InPart, words[0] == "set")
			rows.Lines, rows.Raw = append(rows.Lines, int64(len(rows.Lines)+1)), append(rows.Raw, []byte(lines.Text()))
		}
		yield(rows, nil)
	}
}

func chartStudy() *study.Study {
	number := func(name string) study.Field {
		return study.Field{Name: name, Type: study.Integer, Class: study.Clinical}
	}
	return &study.Study{Name: "amd", CodePrefix: "AMD", Timezone: "Europe/London", Days: study.Elapsed, Enrolment: study.Enrolment{Kind: "first_seen"},
		Forms: []study.Form{{Name: "chart", Log: true,
			Fields: []study.Field{number("a"), number("b"), number("c"), {Name: "note", Type: study.Text, Class: study.FreeText}},
			Checks: []study.Check{{Name: "a_below_b", Expr: "a < b", Severity: study.Flag}}}}}
}

func chartSource(dated bool) *study.Source {
	column := func(name string) study.Pick { return study.Pick{Column: name} }
	field := func(name string) study.FieldMapping {
		return study.FieldMapping{Field: name, Pick: column(name)}
	}
	src := &study.Source{Name: "edc", Study: "amd", Format: study.FormatSpec{Type: "changes"},
		Map: study.Mapping{Participant: column("PID"), Namespace: "edc", Deleted: column("GONE"), Forms: []study.FormMapping{
			{Form: "chart", Fields: []study.FieldMapping{field("a"), field("b"), field("c"), field("note")}}}}}
	if dated {
		src.Map.Modified = column("MODIFIED")
	}
	return src
}

func newChart(t *testing.T, dated bool) *bench {
	b := newBench(t, chartStudy(), chartSource(dated))
	b.feed.Format = changes{}
	return b
}

// transactions are random changes of a few charts, and what they come to: by
// participant the values of its fields.
func transactions(rng *rand.Rand, drops bool) (lines []string, is map[string]map[string]string) {
	is = map[string]map[string]string{}
	for n := range 1 + rng.IntN(40) {
		who, stamp, said := fmt.Sprintf("P%d", rng.IntN(3)), fmt.Sprintf("2026-03-01T%02d:%02d:00Z", n/60, n%60), map[string]string{}
		for _, f := range []string{"a", "b", "c", "note"} {
			if rng.IntN(3) == 0 {
				said[f] = []string{"", "1", "2", "30"}[rng.IntN(4)]
			}
		}
		kind := []string{"set", "set", "set", "set", "put", "drop"}[rng.IntN(6)]
		if kind == "drop" && !drops {
			kind = "put"
		}
		line := kind + " " + who + " " + stamp
		switch kind {
		case "drop":
			delete(is, who)
		case "put":
			is[who] = map[string]string{}
			fallthrough
		default:
			if len(said) == 0 && kind == "set" {
				said["c"] = "7"
			}
			if is[who] == nil {
				is[who] = map[string]string{}
			}
			for _, f := range slices.Sorted(maps.Keys(said)) {
				line += " " + f + "=" + said[f]
				if is[who][f] = said[f]; said[f] == "" {
					delete(is[who], f)
				}
			}
		}
		lines = append(lines, line+"\n")
	}
	return lines, is
}

// pages deals transactions in order to objects.
func pages(rng *rand.Rand, lines []string) (files []file) {
	for from := 0; from < len(lines); {
		to := min(len(lines), from+1+rng.IntN(12))
		files = append(files, file{fmt.Sprintf("page %d", from), strings.Join(lines[from:to], "")})
		from = to
	}
	return files
}

// charts are the charts as stored, by participant number, with the hash.
func (b *bench) charts() (out []string) {
	for id, versions := range b.store.m.versions {
		of := versionsByKey(slices.Clone(versions))
		for key, r := range b.store.m.answers[id] {
			if now := newest(of(key)); !now.Removed {
				out = append(out, fmt.Sprintf("%d %q %q %x", id, r.Answers, r.Findings, now.Hash))
			}
		}
	}
	slices.Sort(out)
	return out
}

// wanted is what one source that tells every chart whole would have stored.
func wanted(t *testing.T, b *bench, is map[string]map[string]string) []string {
	whole, text := newChart(t, false), ""
	for code, id := range b.store.m.numbers {
		whole.store.m.numbers[code] = id
	}
	for _, who := range slices.Sorted(maps.Keys(is)) {
		text += "set " + who + " -"
		for _, f := range []string{"a", "b", "c", "note"} {
			text += " " + f + "=" + is[who][f]
		}
		text += "\n"
	}
	whole.sync(file{"whole", text})
	return whole.charts()
}

// However transactions are dealt out to objects, what they come to is what a map that
// hears them in order would hold, and reading them again adds nothing.
func TestTransactionsComeToTheirSum(t *testing.T) {
	rng := newRandom(t)
	for n := range deals / 4 {
		lines, is := transactions(rng, n%4 != 0)
		b := newChart(t, n%2 == 0)
		out := b.sync(pages(rng, lines)...)
		if rows, records := out.Counts.Unaccounted(); rows != 0 || records != 0 || out.Counts.Read != int64(len(lines)) {
			t.Fatalf("%+v of %d lines", out.Counts, len(lines))
		}
		want := wanted(t, b, is)
		sameLines(t, "transactions", b.charts(), want)
		before := b.store.m
		if out := b.replay(b.store.m.landed()...); out.Objects != 0 || b.store.m != before {
			t.Fatalf("read again: %+v", out)
		}
		if n%4 == 0 { // dated: an object that comes late finds its place, but a removal that comes first finds nothing to remove
			late := newChart(t, true)
			files := pages(rng, lines)
			rng.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
			late.sync(files...)
			sameLines(t, "in another order", late.charts(), wanted(t, late, is))
		}
	}
}

// Read again with another mapping, transactions come to what that mapping would have
// come to at once.
func TestTransactionsAreReadAgain(t *testing.T) {
	rng := newRandom(t)
	for n := range deals / 4 {
		lines, _ := transactions(rng, true)
		files := pages(rng, lines)
		swap := func(src *study.Source) *study.Source {
			f := src.Map.Forms[0].Fields
			f[0].Pick, f[1].Pick = f[1].Pick, f[0].Pick
			f[2].Pick.Values = map[string]string{"2": "3"}
			return src
		}
		right, wrong := newChart(t, n%2 == 0), newChart(t, n%2 == 0)
		right.feed.Config = swap(chartSource(n%2 == 0))
		right.sync(files...)
		wrong.sync(files...)
		wrong.feed.Config = right.feed.Config
		wrong.replay(wrong.store.m.landed()...)
		sameLines(t, "read again", wrong.charts(), right.charts())
		before := wrong.store.m
		if out := wrong.replay(wrong.store.m.landed()...); out.Objects != 0 || wrong.store.m != before {
			t.Fatalf("read again twice: %+v", out)
		}
	}
}

// An object that tells only what changed is no complete snapshot: nothing is taken as
// gone because it does not tell of it.
func TestTransactionsAreNoSnapshot(t *testing.T) {
	for _, kind := range []string{study.Complete, study.CompleteByName} {
		b := newChart(t, true)
		b.sync(file{"1", "set P1 2026-03-01T00:00:00Z a=1\nset P2 2026-03-01T00:00:00Z a=1\n"})
		before := b.store.m
		b.feed.Config.Snapshot.Kind = kind
		b.drop.files = []file{{"2", "set P1 2026-03-02T00:00:00Z a=2\n"}}
		if _, err := b.ingester.Sync(t.Context(), b.feed, "test"); codeOf(err) != "snapshot.in_part" || b.store.m != before {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// What is required, or checked across fields, is found in what the record comes to:
// it never refuses a row that tells something else.
func TestRequiredOfWhatItComesTo(t *testing.T) {
	b := newChart(t, true)
	form := &b.feed.Study.Forms[0]
	form.Fields[1].Required, form.Fields[1].Severity.Required = true, study.Reject
	form.Checks[0].Severity = study.Reject
	for i, step := range []struct{ line, want string }{
		{"set P1 2026-03-01T00:00:00Z a=5", "b:required"},
		{"set P1 2026-03-01T00:01:00Z b=4", "a_below_b:check"},
		{"set P1 2026-03-01T00:02:00Z b=9", ""},
		{"set P1 2026-03-01T00:03:00Z c=x", ""}, // no integer: refused as a row would be
	} {
		out := b.sync(file{fmt.Sprint(i), step.line + "\n"})
		for _, records := range b.store.m.answers {
			for _, r := range records {
				if r.Findings != step.want {
					t.Errorf("%s: findings %q, want %q", step.line, r.Findings, step.want)
				}
			}
		}
		if refused := int64(i / 3); out.Counts.Quarantined != refused {
			t.Errorf("%s: %+v", step.line, out.Counts)
		}
	}
}
