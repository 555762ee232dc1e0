package release

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"longitude/deid"
	"longitude/internal/lineage"
	"longitude/study"
)

// Names of the documents that hold the others together.
const (
	manifestName = "datapackage.json"
	sumsName     = "SHA256SUMS"
	envelopeName = "release.dsse.json"
)

// Documents makes the documents of a release: the manifest and the reports about
// its tables and parts, SHA256SUMS last. tables are those after door 2, in
// dictionary order; parts are theirs by table name. The same arguments give the
// same bytes.
func Documents(p Plan, s *study.Study, tables []*study.Table, parts map[string][]deid.Artifact) ([]deid.Artifact, error) {
	m, err := newManifest(p, s, tables, parts)
	if err != nil {
		return nil, err
	}
	manifest, err := encodeJSON(m)
	if err != nil {
		return nil, err
	}
	written, err := reports(p, s)
	if err != nil {
		return nil, err
	}
	begin, err := starters(m)
	if err != nil {
		return nil, err
	}
	var docs []deid.Artifact
	for _, d := range append([]document{
		{manifestName, manifest},
		{"data_dictionary.csv", csvOf(dictionaryBatch(dictionaryTable(), tables))},
		{"codelists.csv", csvOf(codelistsBatch(codelistsTable(), s))},
		{"lineage_columns.csv", lineageColumns(s, p.Sources, tables)},
		{"README.md", readme(m, s)},
		{"CHANGELOG.md", changelog(m, p, tellerOf(s))},
	}, append(written, begin...)...) {
		a, err := deid.Document(d.path, d.content)
		if err != nil {
			return nil, err
		}
		docs = append(docs, a)
	}
	covered := slices.Clone(docs)
	for _, t := range tables {
		covered = append(covered, parts[t.Name]...)
	}
	sums, err := deid.Document(sumsName, sumLines(covered))
	if err != nil {
		return nil, err
	}
	return append(docs, sums), nil
}

// document is a document before it is an artifact.
type document struct {
	path    string
	content []byte
}

// reports are the reports of a release, each for programs and for people.
func reports(p Plan, s *study.Study) ([]document, error) {
	reconciled, err := newReconciliation(p, tellerOf(s))
	if err != nil {
		return nil, err
	}
	asJSON, err := encodeJSON(reconciled)
	if err != nil {
		return nil, err
	}
	docs := []document{{"reports/reconciliation.json", asJSON}, {"reports/reconciliation.md", reconciled.text()}}
	if p.Deid != nil {
		if asJSON, err = p.Deid.JSON(); err != nil {
			return nil, err
		}
		docs = append(docs, document{"reports/deidentification.json", asJSON}, document{"reports/deidentification.md", p.Deid.Markdown()})
	}
	if p.Risk != nil {
		r, err := p.Risk.report()
		if err != nil {
			return nil, err
		}
		if asJSON, err = encodeJSON(r); err != nil {
			return nil, err
		}
		docs = append(docs, document{"reports/risk.json", asJSON}, document{"reports/risk.md", r.text()})
	}
	return docs, nil
}

// sumLines is SHA256SUMS: sorted by path, as sha256sum -c reads it.
func sumLines(files []deid.Artifact) []byte {
	files = slices.SortedFunc(slices.Values(files), func(a, b deid.Artifact) int { return strings.Compare(a.Path(), b.Path()) })
	var b bytes.Buffer
	for _, a := range files {
		fmt.Fprintf(&b, "%s  %s\n", a.Digest(), a.Path())
	}
	return b.Bytes()
}

// csvOf writes a batch that is about no participant as CSV; NULL is empty.
func csvOf(batch *study.Batch) []byte {
	rows := [][]string{make([]string, len(batch.Table.Columns))}
	for c, column := range batch.Table.Columns {
		rows[0][c] = column.Name
	}
	for i := range batch.Rows {
		row := make([]string, len(batch.Vectors))
		for c := range batch.Vectors {
			v := &batch.Vectors[c]
			switch {
			case v.Null(i):
			case v.Texts != nil:
				row[c] = v.Texts[i]
			case batch.Table.Columns[c].Kind == study.BoolKind:
				row[c] = strconv.FormatBool(v.Ints[i] != 0)
			default:
				row[c] = strconv.FormatInt(v.Ints[i], 10)
			}
		}
		rows = append(rows, row)
	}
	return encodeCSV(rows)
}

func encodeCSV(rows [][]string) []byte {
	var b bytes.Buffer
	_ = csv.NewWriter(&b).WriteAll(rows) // a buffer does not fail
	return b.Bytes()
}

// lineageColumns says for each column which source's column it comes from and what
// was done on the way.
func lineageColumns(s *study.Study, sources []*study.Source, tables []*study.Table) []byte {
	rows := [][]string{lineage.Header}
	for _, c := range lineage.Columns(s, sources, tables) {
		rows = append(rows, c.Cells())
	}
	return encodeCSV(rows)
}

func readme(m *Manifest, s *study.Study) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s: %s\n\n%s\n\n", m.ID, s.Title, m.Description)
	if p := s.Protocol; p.ID != "" {
		fmt.Fprintf(&b, "- Protocol %s, version %s\n", p.ID, p.Version)
	}
	fmt.Fprintf(&b, "- As of %s", m.Longitude.AsOf)
	if m.Longitude.Cutoff != "" {
		fmt.Fprintf(&b, ", data up to %s", m.Longitude.Cutoff)
	}
	fmt.Fprintf(&b, "\n- De-identification claim, computed from the rules applied: **%s**\n- Participant ids are stable within the series `%s`\n\n", m.Longitude.Claim, m.Longitude.Series)
	b.WriteString("## Tables\n\n| table | one row per | rows | key |\n|---|---|---:|---|\n")
	for _, r := range m.Resources {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Name, strings.TrimPrefix(r.Grain, "one row per "), tellerOf(s).alone(r.Rows), strings.Join(r.Schema.PrimaryKey, ", "))
	}
	b.WriteString(`
Every column is described in ` + "`data_dictionary.csv`" + `, every code in ` + "`codelists.csv`" + `, and where a column comes
from in ` + "`lineage_columns.csv`" + `. A missing value is NULL; the column of the same name ending in
` + "`_missing`" + ` says why. Zero, empty and false are values. Study days count as CDISC does: the
baseline visit is day 1, the day before it -1. Days from baseline, targets and windows count
elapsed days from 0.

## Is it whole?

` + "`sha256sum -c SHA256SUMS`" + ` compares every file. ` + "`longitude release verify . --policy FILE`" + ` also
checks the signature in ` + "`release.dsse.json`" + ` and that nothing was added.
`)
	return b.Bytes()
}

// changelog compares the tables with those of the release before. Numbers of
// rows that differ by 1 to 10 are not shown, because their difference would be.
func changelog(m *Manifest, p Plan, tell teller) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Changes in %s, version %s\n\n", m.ID, m.Version)
	if p.Before == nil {
		b.WriteString("The first release of its series.\n")
		return b.Bytes()
	}
	prev := p.Before.Manifest
	fmt.Fprintf(&b, "Since %s, version %s, as of %s: %s\n\n", prev.ID, prev.Version, prev.Longitude.AsOf, p.differs.change)
	if prev.Longitude.Protocol.Digest != m.Longitude.Protocol.Digest {
		fmt.Fprintf(&b, "The study document changed: protocol version %s (was %s).\n\n", m.Longitude.Protocol.Version, prev.Longitude.Protocol.Version)
	}
	b.WriteString("| table | rows now (was) | content |\n|---|---|---|\n")
	was := map[string]*Resource{}
	for i := range prev.Resources {
		was[prev.Resources[i].Name] = &prev.Resources[i]
	}
	for i := range m.Resources {
		now := &m.Resources[i]
		old := was[now.Name]
		delete(was, now.Name)
		switch {
		case old == nil:
			fmt.Fprintf(&b, "| `%s` | %s | new table |\n", now.Name, tell.alone(now.Rows))
		case old.Content == now.Content:
			fmt.Fprintf(&b, "| `%s` | %s | the same |\n", now.Name, tell.change(now.Rows, old.Rows))
		default:
			fmt.Fprintf(&b, "| `%s` | %s | changed |\n", now.Name, tell.change(now.Rows, old.Rows))
		}
	}
	for _, r := range prev.Resources {
		if was[r.Name] != nil {
			fmt.Fprintf(&b, "| `%s` | 0 (%s) | removed |\n", r.Name, tell.alone(r.Rows))
		}
	}
	if len(p.differs.reasons) > 0 {
		b.WriteString("\n## What else changed\n\n- " + strings.Join(p.differs.reasons, "\n- ") + "\n")
	}
	return b.Bytes()
}
