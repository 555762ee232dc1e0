package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"html/template"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"longitude/study"
)

// Entry is an event with its bytes and its place in the tree.
type Entry struct {
	Index int64  `json:"index"` // -1 = not sealed yet
	Event Event  `json:"event"`
	Leaf  []byte `json:"-"`
}

// Files of a certified copy, besides proofs/<number of the event>.tlog-proof.
const (
	exportEvents     = "events.ndjson" // the exact bytes of each event, a line each
	exportTable      = "events.csv"
	exportPage       = "index.html"
	exportCheckpoint = "checkpoint"
	exportSums       = "SHA256SUMS"
	exportSigned     = "SHA256SUMS.note" // the same, signed
)

// Export writes a certified copy of events into a folder: for people as a page and a
// table, and as the exact bytes with a proof of each. Every file is listed with its
// digest in a list that the log signs.
type Export struct {
	dir    string
	signer *Signer
	events *summed
	table  *summed
	cells  *csv.Writer
	page   *summed
	lists  bytes.Buffer // of the page, behind the events
	sums   []string
	count  int64
}

// summed is a file that is hashed while it is written.
type summed struct {
	name string
	file *os.File
	buf  *bufio.Writer
	hash hash.Hash
}

func (s *summed) Write(p []byte) (int, error) {
	s.hash.Write(p)
	return s.buf.Write(p)
}

// NewExport begins a copy in a folder that is not there yet, or empty.
func NewExport(dir, title string, signer *Signer, c Checkpoint) (*Export, error) {
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return nil, &study.Error{Code: "audit.export_exists", Op: "the folder of the copy is not empty", Exit: study.ExitUsage, Hint: "name a new folder"}
	}
	e := &Export{dir: dir, signer: signer}
	if err := os.MkdirAll(filepath.Join(dir, "proofs"), 0o755); err != nil {
		return nil, unwritable()
	}
	if err := e.put(exportCheckpoint, c.Note); err != nil {
		return nil, err
	}
	for name, f := range map[string]**summed{exportEvents: &e.events, exportTable: &e.table, exportPage: &e.page} {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return nil, unwritable()
		}
		*f = &summed{name: name, file: file, buf: bufio.NewWriter(file), hash: sha256.New()}
	}
	e.cells = csv.NewWriter(e.table)
	return e, errors.Join(e.cells.Write(append([]string{"index"}, columns...)), pageHead.Execute(e.page, map[string]any{
		"Title": title, "Origin": signer.Name(), "Size": c.Size, "Root": study.Digest(c.Root).String(), "Columns": columns}))
}

var columns = []string{"event", "at", "action", "actor", "authority", "study", "object", "outcome", "reason", "run", "software", "before", "after", "changed", "detail"}

// Cells are an event as a row of a table.
func (e *Event) Cells() []string {
	detail := ""
	if len(e.Detail) > 0 {
		text, _ := json.Marshal(e.Detail) // it was read from JSON
		detail = string(text)
	}
	return []string{strconv.FormatInt(e.ID, 10), e.At, string(e.Action), e.Actor, e.Authority, e.Study, e.Object, e.Outcome, e.Reason,
		strconv.FormatInt(e.Run, 10), e.Software, e.Before, e.After, strings.Join(e.Changed, " "), detail}
}

// Add writes one event with its proof.
func (e *Export) Add(entry Entry, p Proof) error {
	cells := append([]string{strconv.FormatInt(entry.Index, 10)}, entry.Event.Cells()...)
	if err := errors.Join(e.put(proofName(entry.Event.ID), p.Marshal()), pageRow.Execute(e.page, cells)); err != nil {
		return err
	}
	harmless(cells)
	_, err := e.events.Write(append(slices.Clone(entry.Leaf), '\n'))
	e.count++
	return errors.Join(err, e.cells.Write(cells))
}

// harmless keeps a spreadsheet from taking a cell for a formula.
func harmless(cells []string) {
	for i, c := range cells {
		if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
			cells[i] = "'" + c
		}
	}
}

// Attach adds a list that belongs to the events, as signatures or the list of a
// review: name.csv and name.ndjson, and a table on the page.
func (e *Export) Attach(name, title string, header []string, rows [][]string, lines []any) error {
	var table, exact bytes.Buffer
	cells := csv.NewWriter(&table)
	err := errors.Join(cells.Write(header), pageList.Execute(&e.lists, map[string]any{"Title": title, "Columns": header, "Rows": rows}))
	for _, row := range rows {
		row = slices.Clone(row)
		harmless(row)
		err = errors.Join(err, cells.Write(row))
	}
	cells.Flush()
	enc := json.NewEncoder(&exact)
	enc.SetEscapeHTML(false)
	for _, line := range lines {
		err = errors.Join(err, enc.Encode(line))
	}
	return errors.Join(err, cells.Error(), e.put(name+".csv", table.Bytes()), e.put(name+".ndjson", exact.Bytes()))
}

func proofName(event int64) string { return "proofs/" + strconv.FormatInt(event, 10) + ".tlog-proof" }

func (e *Export) put(name string, content []byte) error {
	sum := sha256.Sum256(content)
	e.sums = append(e.sums, hex.EncodeToString(sum[:])+"  "+name)
	if os.WriteFile(filepath.Join(e.dir, filepath.FromSlash(name)), content, 0o644) != nil {
		return unwritable()
	}
	return nil
}

// Close finishes the files, signs the list of them and answers its digest and how
// many events the copy has.
func (e *Export) Close() (study.Digest, int64, error) {
	e.cells.Flush()
	err := errors.Join(e.cells.Error(), pageFoot.Execute(e.page, map[string]any{"Count": e.count, "Lists": template.HTML(e.lists.String())}))
	for _, f := range []*summed{e.events, e.table, e.page} {
		err = errors.Join(err, f.buf.Flush(), f.file.Close())
		e.sums = append(e.sums, hex.EncodeToString(f.hash.Sum(nil))+"  "+f.name)
	}
	if err != nil {
		return study.Digest{}, 0, unwritable()
	}
	slices.SortFunc(e.sums, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	sums := []byte(strings.Join(e.sums, "\n") + "\n")
	signed, err := e.signer.SignText(sums)
	if err == nil && (os.WriteFile(filepath.Join(e.dir, exportSums), sums, 0o644) != nil || os.WriteFile(filepath.Join(e.dir, exportSigned), signed, 0o644) != nil) {
		err = unwritable()
	}
	return sha256.Sum256(sums), e.count, err
}

func unwritable() error {
	return &study.Error{Code: "audit.unwritable", Op: "cannot write the files of the audit log's copy, proof or anchor", Exit: study.ExitEnvironment,
		Hint: "name a folder that this user may write to, with room in it"}
}

// ExportReport is what an offline check of a certified copy came to.
type ExportReport struct {
	Events int64 `json:"events"`
	Size   int64 `json:"size"` // of the log when the copy was made
}

// CheckExport checks a certified copy offline: the signature of its list, every
// file against the list, and the proof of every event.
func CheckExport(dir string, policy Policy) (ExportReport, error) {
	signed, err := os.ReadFile(filepath.Join(dir, exportSigned))
	if err != nil {
		return ExportReport{}, &study.Error{Code: "audit.export_unreadable", Op: "the folder is no copy of the audit log", Exit: study.ExitEnvironment,
			Hint: "name the folder that `longitude audit export` wrote"}
	}
	sums, err := policy.OpenText(signed)
	if err != nil {
		return ExportReport{}, err
	}
	if plain, err := os.ReadFile(filepath.Join(dir, exportSums)); err != nil || !bytes.Equal(plain, sums) {
		return ExportReport{}, falseCopy(exportSums)
	}
	listed := map[string]bool{exportSums: true, exportSigned: true}
	for line := range strings.Lines(string(sums)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || !filepath.IsLocal(name) || !hasDigest(filepath.Join(dir, filepath.FromSlash(name)), sum) {
			return ExportReport{}, falseCopy(name)
		}
		listed[name] = true
	}
	if unlisted(dir, listed) {
		return ExportReport{}, falseCopy("one that is not listed")
	}
	return checkEvents(dir, policy)
}

// unlisted reports whether a file was put into a copy.
func unlisted(dir string, listed map[string]bool) bool {
	return fs.WalkDir(os.DirFS(dir), ".", func(name string, f fs.DirEntry, err error) error {
		if err != nil || !f.IsDir() && !listed[name] {
			return fs.ErrExist
		}
		return nil
	}) != nil
}

func checkEvents(dir string, policy Policy) (r ExportReport, err error) {
	text, err := os.ReadFile(filepath.Join(dir, exportCheckpoint))
	if err != nil {
		return r, falseCopy(exportCheckpoint)
	}
	c, err := policy.Open(text)
	if err != nil {
		return r, err
	}
	events, err := os.Open(filepath.Join(dir, exportEvents))
	if err != nil {
		return r, falseCopy(exportEvents)
	}
	defer func() { _ = events.Close() }()
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, MaxLeaf+1)
	for r.Size = c.Size; lines.Scan(); r.Events++ {
		e, ok := ParseLeaf(lines.Bytes())
		if !ok {
			return r, falseCopy(exportEvents)
		}
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(proofName(e.ID))))
		if err != nil {
			return r, falseCopy(proofName(e.ID))
		}
		p, err := ParseProof(text)
		if err != nil || !bytes.Equal(p.Leaf, lines.Bytes()) {
			return r, falseCopy(proofName(e.ID))
		}
		if _, _, err := p.Check(policy); err != nil {
			return r, err
		}
	}
	if lines.Err() != nil {
		return r, falseCopy(exportEvents)
	}
	return r, nil
}

func hasDigest(file, sum string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && hex.EncodeToString(h.Sum(nil)) == sum
}

func falseCopy(name string) error {
	return &study.Error{Code: "audit.export_changed", Op: "a file of the copy is missing, not as signed, or not part of it: " + name, Exit: study.ExitBlocked,
		Hint: "the copy was changed after it was made; ask for a new one"}
}

// exporter is the name that copies are signed under: a signature of one is never
// one of a checkpoint.
func exporter(origin string) string { return origin + "/export" }

// SignText signs a text that is no checkpoint.
func (s *Signer) SignText(text []byte) ([]byte, error) {
	v, err := exportVerifier(s.origin, s.keys[len(s.keys)-1].Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: string(text)}, named{s, v})
}

// named signs under the name of a verifier.
type named struct {
	*Signer
	as note.Verifier
}

func (n named) Name() string    { return n.as.Name() }
func (n named) KeyHash() uint32 { return n.as.KeyHash() }

// OpenText reads a text that SignText signed, under any key of the policy.
func (p Policy) OpenText(signed []byte) ([]byte, error) {
	keys, err := p.public()
	if err != nil {
		return nil, err
	}
	for _, public := range keys {
		v, err := exportVerifier(p.Origin(), public)
		if err != nil {
			return nil, badPolicy()
		}
		if n, err := note.Open(signed, note.VerifierList(v)); err == nil {
			return []byte(n.Text), nil
		}
	}
	return nil, falseCopy(exportSigned)
}

func exportVerifier(origin string, public ed25519.PublicKey) (note.Verifier, error) {
	vkey, err := note.NewEd25519VerifierKey(exporter(origin), public)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(vkey)
}

var pageHead = template.Must(template.New("head").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>{{.Title}}</title>
<style>body{font:14px/1.4 system-ui,sans-serif;margin:2rem}table{border-collapse:collapse}th,td{border-bottom:1px solid #ccc;padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}th{position:sticky;top:0;background:#fff}</style>
<h1>{{.Title}}</h1><p>Log <code>{{.Origin}}</code> at {{.Size}} events, root <code>{{.Root}}</code>. Times are UTC. Each event has a proof in the folder <code>proofs</code>;
<code>longitude audit check FOLDER --policy FILE</code> checks all of this offline.</p><table><thead><tr><th>index</th>{{range .Columns}}<th>{{.}}</th>{{end}}</tr></thead><tbody>
`))

var pageRow = template.Must(template.New("row").Parse("<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>\n"))

var pageFoot = template.Must(template.New("foot").Parse("</tbody></table><p>{{.Count}} events.</p>{{.Lists}}</html>\n"))

var pageList = template.Must(template.New("list").Parse(`<h2>{{.Title}}</h2><table><thead><tr>{{range .Columns}}<th>{{.}}</th>{{end}}</tr></thead><tbody>
{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</tbody></table>
`))
