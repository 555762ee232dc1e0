package release

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"longitude/deid"
	"longitude/internal/columnar"
	"longitude/study"
)

// change is how much of what a program or a person relied on is different.
type change int

const (
	patch change = iota // the same content in other files
	minor               // data or columns were added, or values corrected
	major               // something is gone or means something else
)

// String is the change as a changelog tells it.
func (c change) String() string {
	return [...]string{"the same content in other files (patch)", "data were added or corrected (minor)", "something is gone or means something else (major)"}[c]
}

// Identity is what the content of a release makes of it.
type Identity struct {
	Version      string // MAJOR.MINOR.PATCH, computed from what differs from the release before
	Participants ParticipantSet

	differs differences
}

// ParticipantSet says whose data a release holds. Its version counts apart from that
// of the data: two releases with one set are about the same people.
type ParticipantSet struct {
	Version int    `json:"version"` // from 1
	SHA256  string `json:"sha256"`  // of the released ids, sorted, a line each
}

// setOf is the set of these ids, which follows the one before; nil = there is none.
func setOf(ids map[string]bool, before *Before) ParticipantSet {
	sum := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		_, _ = sum.Write([]byte(id + "\n")) // never fails
	}
	set := ParticipantSet{1, study.Digest(sum.Sum(nil)).String()}
	if before != nil {
		last := before.Manifest.Longitude.Participants
		if set.Version = last.Version; set.SHA256 != last.SHA256 {
			set.Version++
		}
	}
	return set
}

// idsOf reads the released ids out of the parts of the table participants.
func idsOf(ctx context.Context, parts []deid.Artifact) (map[string]bool, error) {
	ids := map[string]bool{}
	for _, a := range parts {
		if err := artifactIDs(ctx, a, ids); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func artifactIDs(ctx context.Context, a deid.Artifact, ids map[string]bool) error {
	content, err := a.Open()
	if err != nil {
		return noPart(a)
	}
	defer func() { _ = content.Close() }()
	file, ok := content.(columnar.File)
	if !ok {
		return noPart(a)
	}
	texts, err := columnar.Texts(ctx, file, a.Path(), participantColumn().Name)
	for _, id := range texts {
		ids[id] = true
	}
	return err
}

func noPart(a deid.Artifact) error {
	return &study.Error{Code: "release.no_part", Op: "reading " + a.Path() + " back: it is gone", Exit: study.ExitEnvironment,
		Hint: "something removed files of the build: run it again; nothing of the release was published"}
}

// settle computes version and participant set from what was written. static are the
// tables about nobody, without release_info.
func (b *Builder) settle(ctx context.Context, released []*study.Table, parts map[string][]deid.Artifact, static []*study.Batch) error {
	ids, err := idsOf(ctx, parts[tableParticipants])
	if err != nil {
		return err
	}
	before := b.plan.Before
	b.plan.Identity = Identity{Version: firstVersion, Participants: setOf(ids, before)}
	if before == nil {
		return nil
	}
	content := map[string]string{}
	for _, batch := range static {
		var rows study.Content
		rows.Add(batch, -1)
		content[batch.Table.Name] = contentOf(rows.Close())
	}
	now, categories := &Manifest{Longitude: Extension{Series: b.plan.Series}}, categoriesOf(b.study)
	for _, t := range released {
		r := newResource(t, parts[t.Name], categories)
		r.Content = cmp.Or(content[t.Name], r.Content)
		now.Resources = append(now.Resources, r)
	}
	b.plan.differs = compare(before.Manifest, now, goneFrom(before.Participants, ids))
	b.plan.Version = b.plan.differs.version(before.Manifest.Version)
	return nil
}

// Identity is what Static computed.
func (b *Builder) Identity() Identity { return b.plan.Identity }

func goneFrom(before, now map[string]bool) (gone int) {
	for id := range before {
		if !now[id] {
			gone++
		}
	}
	return gone
}

// differences are what makes a release another one than the release before it.
type differences struct {
	change  change
	reasons []string // besides rows that were added or corrected
}

func (d *differences) note(c change, format string, args ...any) {
	d.change = max(d.change, c)
	d.reasons = append(d.reasons, fmt.Sprintf(format, args...))
}

// unversioned are tables that tell of the release itself or of columns that are
// compared as such: their rows are no data.
var unversioned = []string{tableInfo, tableDictionary}

// compare says how now differs from before. gone is how many participants of before
// are in it no more.
func compare(before, now *Manifest, gone int) differences {
	var d differences
	was := map[string]*Resource{}
	for i := range before.Resources {
		was[before.Resources[i].Name] = &before.Resources[i]
	}
	if before.Longitude.Series != now.Longitude.Series {
		d.note(major, "participant ids are of another series")
	}
	if gone > 0 {
		d.note(major, "participants were taken out")
	}
	for i := range now.Resources {
		r := &now.Resources[i]
		if was[r.Name] == nil {
			d.note(minor, "table `%s` added", r.Name)
			continue
		}
		d.table(was[r.Name], r)
		delete(was, r.Name)
	}
	for _, r := range before.Resources {
		if was[r.Name] != nil {
			d.note(major, "table `%s` removed", r.Name)
		}
	}
	return d
}

func (d *differences) table(was, now *Resource) {
	if !slices.Equal(was.Schema.PrimaryKey, now.Schema.PrimaryKey) {
		d.note(major, "`%s` has another key", now.Name)
	}
	columns := map[string]*Field{}
	for i := range was.Schema.Fields {
		columns[was.Schema.Fields[i].Name] = &was.Schema.Fields[i]
	}
	for i := range now.Schema.Fields {
		f := &now.Schema.Fields[i]
		if columns[f.Name] == nil {
			d.note(minor, "`%s.%s` added (%s)", now.Name, f.Name, f.Type)
			continue
		}
		d.column(now.Name, columns[f.Name], f)
		delete(columns, f.Name)
	}
	for _, f := range was.Schema.Fields {
		if columns[f.Name] != nil {
			d.note(major, "`%s.%s` removed", now.Name, f.Name)
		}
	}
	switch {
	case was.Content == now.Content || slices.Contains(unversioned, now.Name):
	case now.Name == tableSchedule:
		d.note(major, "the schedule of visits is another, by which visits are judged")
	default: // which tables, whoever lists them says
		d.change = max(d.change, minor)
	}
}

func (d *differences) column(table string, was, now *Field) {
	if was.Type != now.Type {
		d.note(major, "`%s.%s` is %s (was %s)", table, now.Name, now.Type, was.Type)
	}
	for _, rule := range []struct{ what, was, now string }{
		{"unit", was.Unit, now.Unit}, {"transformation", was.Transform, now.Transform}, {"masking", was.Masking, now.Masking},
	} {
		if rule.was != rule.now {
			d.note(major, "`%s.%s` has another %s: %s (was %s)", table, now.Name, rule.what, cmp.Or(rule.now, "none"), cmp.Or(rule.was, "none"))
		}
	}
	labels := map[string]string{}
	for _, c := range now.Categories {
		labels[c.Value] = c.Label
	}
	for _, c := range was.Categories {
		if label, there := labels[c.Value]; !there || label != c.Label {
			d.note(major, "code `%s` of `%s.%s` was removed or means something else", c.Value, table, now.Name)
		}
	}
	if len(now.Categories) > len(was.Categories) {
		d.note(minor, "codes of `%s.%s` added", table, now.Name)
	}
}

const firstVersion = "1.0.0"

// version is the one that follows before by d; the first is 1.0.0.
func (d *differences) version(before string) string {
	var n [3]int
	for i, part := range strings.SplitN(before, ".", 3) {
		n[i], _ = strconv.Atoi(part) // of a manifest without one: 0
	}
	switch {
	case n[0] == 0:
		return firstVersion
	case d.change == major:
		n = [3]int{n[0] + 1}
	case d.change == minor:
		n = [3]int{n[0], n[1] + 1}
	default:
		n[2]++
	}
	return fmt.Sprintf("%d.%d.%d", n[0], n[1], n[2])
}
