package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"longitude/deid"
	"longitude/internal/columnar"
	"longitude/study"
)

// Plan is a release plan together with what building it computes.
type Plan struct {
	study.ReleasePlan
	Before   *Before           // the release before in the series; nil = this is the first
	Series   string            // release series: the domain of its codes
	Claim    string            // computed by door 2
	Digests  map[string]string // of everything that shaped the release: study document, mappings, program
	Sources  []*study.Source   // of the study, for the lineage of columns
	Tally    Tally
	Identity              // what the content makes of it
	Deid     *deid.Report // what door 2 did
	Risk     *Risk        // what the risk gate found
}

// Before is the release before one, as it was published.
type Before struct {
	Manifest     *Manifest
	Envelope     study.Digest
	Participants map[string]bool // released ids
}

// Manifest is datapackage.json: a Frictionless Data Package (version 2) whose
// resources are the tables, with our extension under "longitude".
type Manifest struct {
	Schema      string     `json:"$schema"`
	Name        string     `json:"name"`
	ID          string     `json:"id"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Version     string     `json:"version,omitempty"`
	Created     string     `json:"created"` // midnight of the as-of date: a plan gives the same bytes whenever it is built
	Resources   []Resource `json:"resources"`
	Longitude   Extension  `json:"longitude"`
}

// Resource is one table.
type Resource struct {
	Name      string      `json:"name"`
	Type      string      `json:"type"`
	Title     string      `json:"title"`
	Grain     string      `json:"grain"`
	Path      []string    `json:"path"`
	Format    string      `json:"format"`
	MediaType string      `json:"mediatype"`
	Bytes     int64       `json:"bytes"`
	Content   string      `json:"content"` // root over its rows as values (study.Content), whatever files hold them
	Hash      string      `json:"hash"`    // of the sorted lines "<sha256>  <path>\n" of its files
	Rows      int64       `json:"rows"`
	Files     []File      `json:"files"`
	Schema    TableSchema `json:"schema"`
}

// File is one part of a table.
type File struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	Rows   int64  `json:"rows"`
}

// TableSchema is a Frictionless Table Schema.
type TableSchema struct {
	Fields      []Field      `json:"fields"`
	PrimaryKey  []string     `json:"primaryKey"`
	ForeignKeys []ForeignKey `json:"foreignKeys,omitempty"`
}

// Field describes one column.
type Field struct {
	Name        string      `json:"name"`
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Description string      `json:"description,omitempty"`
	Unit        string      `json:"unit,omitempty"`
	Categories  []Category  `json:"categories,omitempty"`
	Constraints Constraints `json:"constraints"`
	Form        string      `json:"form,omitempty"`
	Field       string      `json:"field,omitempty"`
	Transform   string      `json:"transform,omitempty"`
	Class       string      `json:"privacyClass"`
	Masking     string      `json:"masking"`
}

// Category is one code with its meaning.
type Category struct {
	Value string `json:"value"`
	Label string `json:"label,omitempty"`
}

// Constraints say whether a column may be NULL.
type Constraints struct {
	Required bool `json:"required"`
}

// ForeignKey joins a table with another.
type ForeignKey struct {
	Fields    []string  `json:"fields"`
	Reference Reference `json:"reference"`
}

// Reference is the other end of a foreign key.
type Reference struct {
	Resource string   `json:"resource"`
	Fields   []string `json:"fields"`
}

// Extension is what a data package has no words for.
type Extension struct {
	Study        string            `json:"study"`
	Release      string            `json:"release"`
	Number       int               `json:"number"`
	Series       string            `json:"series"`
	AsOf         string            `json:"as_of"`
	Cutoff       string            `json:"data_cutoff,omitempty"`
	Protocol     Protocol          `json:"protocol"`
	Claim        string            `json:"claim"`
	Previous     string            `json:"previous,omitempty"`
	Batches      int64             `json:"batches"`
	Participants ParticipantSet    `json:"participants"`
	Digests      map[string]string `json:"digests"`
	Risk         *riskReport       `json:"risk,omitempty"`
}

// Protocol names the rulebook that judged the visits.
type Protocol struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Digest  string `json:"digest"`
}

// ParseManifest reads datapackage.json.
func ParseManifest(content []byte) (*Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if d.Decode(&m) != nil || d.More() {
		return nil, &study.Error{Code: "release.manifest", Op: "reading datapackage.json: it is not a manifest of this version", Exit: study.ExitBlocked,
			Hint: "read it with the version of longitude that wrote it, or fetch the release again"}
	}
	return &m, nil
}

// ReadsBefore reports whether ReadBefore reads a file of a release: the others need
// not be fetched.
func ReadsBefore(path string) bool {
	return path == manifestName || path == envelopeName || strings.HasPrefix(path, "data/"+tableParticipants+"/")
}

// ReadBefore reads from its folder what the next release refers to.
func ReadBefore(ctx context.Context, dir string) (*Before, error) {
	manifest, err := os.ReadFile(filepath.Join(dir, manifestName))
	envelope, errEnvelope := os.ReadFile(filepath.Join(dir, envelopeName))
	if err != nil || errEnvelope != nil {
		return nil, noPrevious("its manifest or envelope cannot be read")
	}
	m, err := ParseManifest(manifest)
	if err != nil {
		return nil, err
	}
	before := &Before{Manifest: m, Envelope: sha256.Sum256(envelope), Participants: map[string]bool{}}
	for i := range m.Resources {
		if m.Resources[i].Name != tableParticipants {
			continue
		}
		for _, path := range m.Resources[i].Path {
			if err := readIDs(ctx, dir, path, before.Participants); err != nil {
				return nil, err
			}
		}
	}
	return before, nil
}

func readIDs(ctx context.Context, dir, path string, ids map[string]bool) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(path)))
	if err != nil {
		return noPrevious("a part of it cannot be read")
	}
	defer func() { _ = f.Close() }()
	part, err := columnar.Texts(ctx, f, path, participantColumn().Name)
	for _, id := range part {
		ids[id] = true
	}
	return err
}

func noPrevious(what string) error {
	return &study.Error{Code: "release.previous", Op: "reading the release before this one: " + what,
		Hint: "restore the folder of the previous release: releases of a series are a chain", Exit: study.ExitEnvironment}
}

// newManifest describes the released tables and their parts.
func newManifest(p Plan, s *study.Study, tables []*study.Table, parts map[string][]deid.Artifact) (*Manifest, error) {
	digests := p.Digests
	if digests == nil {
		digests = map[string]string{}
	}
	m := &Manifest{
		Schema:      "https://datapackage.org/profiles/2.0/datapackage.json",
		Name:        strings.ReplaceAll(p.ID, "_", "-"),
		ID:          p.ID,
		Title:       s.Title,
		Description: "Release " + p.ID + " of study " + s.Name + ", as of " + p.AsOf.String() + ".",
		Version:     p.Version,
		Created:     p.AsOf.Time().Format(time.RFC3339),
		Longitude: Extension{
			Study: s.Name, Release: p.ID, Number: p.Number, Series: p.Series, AsOf: p.AsOf.String(), Cutoff: p.Cutoff.String(),
			Protocol: Protocol{s.Protocol.ID, s.Protocol.Version, s.Digest.String()},
			Claim:    p.Claim, Previous: p.Previous, Batches: p.Batches, Participants: p.Participants, Digests: digests,
		},
	}
	if p.Risk != nil {
		report, err := p.Risk.report()
		if err != nil {
			return nil, err
		}
		m.Longitude.Risk = &report
	}
	categories := categoriesOf(s)
	for _, t := range tables {
		if len(parts[t.Name]) == 0 {
			return nil, &study.Error{Code: "release.no_parts", Op: "describing table " + t.Name + ": it has no part",
				Hint: "every table of a release has at least one part, even without rows: report this with the code"}
		}
		m.Resources = append(m.Resources, newResource(t, parts[t.Name], categories))
	}
	return m, nil
}

// categoriesOf are the codes of each code list of s.
func categoriesOf(s *study.Study) map[string][]Category {
	categories := map[string][]Category{}
	for _, list := range codelists(s) {
		for _, item := range list.items {
			categories[list.name] = append(categories[list.name], Category{item.Code, item.Label})
		}
	}
	return categories
}

// contentOf is how a content root is written.
func contentOf(parts ...[]study.Branch) string {
	return "sha256:" + study.ContentRoot(parts...).String()
}

func newResource(t *study.Table, parts []deid.Artifact, categories map[string][]Category) Resource {
	r := Resource{
		Name: t.Name, Type: "table", Title: t.Label, Grain: t.Grain,
		Format: "parquet", MediaType: "application/vnd.apache.parquet",
		Schema: TableSchema{PrimaryKey: t.Key},
	}
	var content [][]study.Branch
	for _, a := range parts {
		content = append(content, a.Content())
		r.Path = append(r.Path, a.Path())
		r.Files = append(r.Files, File{a.Path(), a.Size(), a.Digest().String(), a.Rows()})
		r.Bytes += a.Size()
		r.Rows += a.Rows()
	}
	r.Hash, r.Content = hashOf(r.Files), contentOf(content...)
	for _, c := range t.Columns {
		r.Schema.Fields = append(r.Schema.Fields, Field{
			Name: c.Name, Type: frictionlessType(c.Kind), Title: c.Label, Description: c.Description, Unit: c.Unit,
			Categories: categories[c.CodeList], Constraints: Constraints{!c.Nullable},
			Form: c.Form, Field: c.Field, Transform: c.Transform, Class: string(c.Class), Masking: c.Masking,
		})
		switch {
		case c.Name == "participant_id" && t.Name != tableParticipants:
			r.Schema.ForeignKeys = append(r.Schema.ForeignKeys, ForeignKey{[]string{c.Name}, Reference{tableParticipants, []string{c.Name}}})
		case c.Name == "visit_id" && t.Name != tableVisits:
			r.Schema.ForeignKeys = append(r.Schema.ForeignKeys, ForeignKey{[]string{c.Name}, Reference{tableVisits, []string{c.Name}}})
		}
	}
	return r
}

func frictionlessType(k study.Kind) string {
	if k == study.DecimalKind {
		return "number"
	}
	return k.String()
}

// hashOf is one hash over the files of a table, however many they are.
func hashOf(files []File) string {
	lines := make([]string, len(files))
	for i, f := range files {
		lines[i] = f.SHA256 + "  " + f.Path + "\n"
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// encodeJSON is indented JSON with a final newline, and without HTML escapes.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode a document of the release: %w", err)
	}
	return b.Bytes(), nil
}
