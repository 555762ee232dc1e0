package transform

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"longitude/study"
)

// Describer is the optional ability of a Format to turn what a source says of its
// own shape into documents to start from.
type Describer interface {
	// Describe proposes the documents of the study named. The error is a
	// *study.Error without any of the metadata's text.
	Describe(ctx context.Context, name string, metadata []study.Metadata) (*Description, error)
}

// Description is a study and a source as metadata propose them: valid documents,
// which a person completes with what metadata cannot say.
type Description struct {
	Study  []byte   // YAML
	Source []byte   // YAML: format and map; without connector, which whoever asked knows
	Notes  []string // what the documents leave to a person
}

// Proposal is what metadata say of a study, and of a source that feeds it, before
// it is written as documents. Names are given by Names; all other text may be any.
type Proposal struct {
	Study, Source string // names of the documents
	From          string // what proposes: "the metadata of an ODM file"
	Title         string
	Version       string // of the protocol
	Visits        []ProposedVisit
	Forms         []ProposedForm
	Settings      []Setting // of the source besides connector and map, such as format
	Map           []Setting // what every row tells: participant, site, visit …
	Advice        string    // one sentence on what the source document leaves open; "" = nothing
	Notes         []string
}

// Setting is a key of a document and its value, as YAML on one line.
type Setting struct{ Key, Value string }

// ProposedVisit is a slot of the protocol.
type ProposedVisit struct {
	Name, Label   string
	Timed         bool // day, window and anchor are known
	Day           int
	Before, After int
	Open          bool   // the day has no window
	Anchor        string // visit that the day counts from; "" = the study's baseline
	Repeats       bool
	Optional      bool
	Forms         []Setting // form → critical, required or optional
}

// ProposedForm is a form, and the rows that feed it.
type ProposedForm struct {
	Name, Label string
	Log         bool     // it belongs to no visit
	When        string   // column; "" = every row
	In          []string // its values; nil = any
	Occurrence  Setting  // column or expr, and which; the zero value is none
	Fields      []ProposedField
}

// ProposedField is a field, and the column that feeds it.
type ProposedField struct {
	Name, Label, Type string
	Choices           []study.ChoiceItem
	Range             string // inside the braces; "" = none
	Unit, Class       string
	Required          bool
	Column, Format    string
	Missing           []study.ChoiceItem // code of the source, reason
}

// Documents writes the proposal.
func (p *Proposal) Documents() *Description {
	return &Description{Study: p.study(), Source: p.source(), Notes: p.Notes}
}

// The documents are written as text: what they hold is small and regular, and
// comments are a part of it.

func (p *Proposal) study() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Proposed from %s. Review every class, and say who is\n# enrolled, where consent comes from and which windows hold.\nstudy: %s\ntitle: %s\n", p.From, QuoteYAML(p.Study), QuoteYAML(p.Title))
	fmt.Fprintf(&b, "protocol: {id: %s, version: %s}\ntimezone: UTC\ndays: elapsed\nenrolment: first_seen\nconsent: external\n", QuoteYAML(p.Title), QuoteYAML(p.Version))
	for _, note := range p.Notes {
		fmt.Fprintf(&b, "# %s\n", Printable(note))
	}
	if len(p.Visits) > 0 {
		b.WriteString("visits:\n")
	}
	for i := range p.Visits {
		p.Visits[i].write(&b)
	}
	b.WriteString("forms:\n")
	for i := range p.Forms {
		p.Forms[i].write(&b)
	}
	return b.Bytes()
}

func (v *ProposedVisit) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "  - name: %s\n    label: %s\n", v.Name, QuoteYAML(v.Label))
	if v.Timed {
		fmt.Fprintf(b, "    day: %d\n", v.Day)
		if !v.Open {
			fmt.Fprintf(b, "    window: [%d, %d]\n", -v.Before, v.After)
		}
		if v.Anchor != "" {
			fmt.Fprintf(b, "    anchor: %s\n", v.Anchor)
		}
	} else if v.Repeats {
		b.WriteString("    repeats: true\n")
	}
	if v.Optional {
		b.WriteString("    required: false\n")
	}
	if len(v.Forms) > 0 {
		fmt.Fprintf(b, "    forms: {%s}\n", flow(v.Forms))
	}
}

func (f *ProposedForm) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "  %s:\n    label: %s\n", f.Name, QuoteYAML(f.Label))
	if f.Log {
		b.WriteString("    log: true\n")
	}
	b.WriteString("    fields:\n")
	for i := range f.Fields {
		f.Fields[i].write(b)
	}
}

func (f *ProposedField) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "      - {name: %s, label: %s, type: %s", f.Name, QuoteYAML(f.Label), QuoteYAML(f.Type))
	if len(f.Choices) > 0 {
		fmt.Fprintf(b, ", choices: {%s}", flow(quotedItems(f.Choices, true)))
	}
	if f.Range != "" {
		fmt.Fprintf(b, ", range: {%s}", f.Range)
	}
	if f.Unit != "" {
		fmt.Fprintf(b, ", unit: %s", QuoteYAML(f.Unit))
	}
	if f.Required {
		b.WriteString(", required: true")
	}
	if f.Class != "" { // without a class it is never released
		fmt.Fprintf(b, ", class: %s", f.Class)
	}
	b.WriteString("}\n")
}

func (p *Proposal) source() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Proposed from %s.", p.From)
	if p.Advice != "" {
		b.WriteString(" " + p.Advice)
	}
	fmt.Fprintf(&b, "\nsource: %s\nstudy: %s\n", QuoteYAML(p.Source), QuoteYAML(p.Study))
	for _, s := range p.Settings {
		fmt.Fprintf(&b, "%s: %s\n", s.Key, s.Value)
	}
	b.WriteString("map:\n")
	for _, s := range p.Map {
		fmt.Fprintf(&b, "  %s: %s\n", s.Key, s.Value)
	}
	b.WriteString("  forms:\n")
	for i := range p.Forms {
		p.Forms[i].writeMap(&b)
	}
	return b.Bytes()
}

func (f *ProposedForm) writeMap(b *bytes.Buffer) {
	fmt.Fprintf(b, "    %s:\n", f.Name)
	if f.When != "" {
		fmt.Fprintf(b, "      when: {column: %s", QuoteYAML(f.When))
		if len(f.In) > 0 {
			in := make([]string, len(f.In))
			for i, value := range f.In {
				in[i] = QuoteYAML(value)
			}
			fmt.Fprintf(b, ", in: [%s]", strings.Join(in, ", "))
		}
		b.WriteString("}\n")
	}
	if f.Occurrence != (Setting{}) {
		fmt.Fprintf(b, "      occurrence: {%s: %s}\n", f.Occurrence.Key, QuoteYAML(f.Occurrence.Value))
	}
	b.WriteString("      fields:\n")
	for _, field := range f.Fields {
		fmt.Fprintf(b, "        %s: {column: %s", field.Name, QuoteYAML(field.Column))
		if field.Format != "" {
			fmt.Fprintf(b, ", format: %s", QuoteYAML(field.Format))
		}
		if len(field.Missing) > 0 {
			fmt.Fprintf(b, ", missing: {%s}", flow(quotedItems(field.Missing, false)))
		}
		b.WriteString("}\n")
	}
}

func flow(settings []Setting) string {
	parts := make([]string, len(settings))
	for i, s := range settings {
		parts[i] = s.Key + ": " + s.Value
	}
	return strings.Join(parts, ", ")
}

// quotedItems are codes with their labels, which are quoted too where they are text.
func quotedItems(items []study.ChoiceItem, text bool) []Setting {
	out := make([]Setting, len(items))
	for i, item := range items {
		out[i] = Setting{QuoteYAML(item.Code), item.Label}
		if text {
			out[i].Value = QuoteYAML(item.Label)
		}
	}
	return out
}

// QuoteYAML is text as a double-quoted scalar of YAML on one line.
func QuoteYAML(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"', r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String() + `"`
}

// Printable is text for people: on one line, without what an editor would not show.
func Printable(text string) string {
	shown := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(shown), " ")
}

// Names gives names for documents that are not taken.
type Names map[string]bool

const maxName = 40

var (
	notInName  = regexp.MustCompile(`[^a-z0-9]+`)
	longEnough = regexp.MustCompile(`[a-z].*[a-z0-9]`)
)

// Give is a name made of the first of the texts that one can be made of.
func (t Names) Give(texts ...string) string {
	name := ""
	for _, text := range texts {
		name = strings.Trim(notInName.ReplaceAllString(strings.ToLower(text), "_"), "_")
		if name = strings.TrimLeft(name, "0123456789_"); longEnough.MatchString(name) {
			break
		}
		name = ""
	}
	name = cmp.Or(name, "unnamed")
	name = name[:min(len(name), maxName)]
	for i := 2; t[name]; i++ {
		suffix := "_" + strconv.Itoa(i)
		if next := name[:min(len(name), maxName-len(suffix))] + suffix; !t[next] {
			name = next
		}
	}
	t[name] = true
	return name
}

// Words of names and questions by which fields are proposed as identifying. A person
// reviews every class: these are proposals.
var (
	tellsWho    = regexp.MustCompile(`(?i)\b(name|surname|initials|e-?mail|phone|telephone|fax|address|street|city|postcode|zip|ssn|mrn|nhs|passport|birth|dob|identifier|record id|subject id|study id|patient id|usubjid|subjid)\b`)
	tellsOfWhom = regexp.MustCompile(`(?i)\b(sex|gender|race|ethnic\w*|age|country\w*|occupation|education|marital)\b`)
	apart       = strings.NewReplacer("_", " ", ".", " ")
)

// ProposeClass proposes the privacy class of a field of that type from the words it
// is known by; direct says that its source calls it identifying.
func ProposeClass(kind string, direct bool, words ...string) string {
	has := func(expr *regexp.Regexp) bool {
		return slices.ContainsFunc(words, func(w string) bool { return expr.MatchString(apart.Replace(w)) })
	}
	switch {
	case kind == "file":
		return "attachment"
	case direct || has(tellsWho):
		return "direct_identifier"
	case kind == "text":
		return "free_text"
	case kind == "date" || kind == "datetime":
		return "date"
	case has(tellsOfWhom):
		return "quasi"
	}
	return "clinical"
}

var rangeEnd = regexp.MustCompile(`^-?\d{1,15}(\.\d{1,9})?$`)

// ProposeRange is the range of a field of that type, by its ends (ge, gt, le or lt and
// a value); "" where the values cannot be compared with them, or none is inside.
func ProposeRange(kind string, ends ...Setting) string {
	first := map[string]string{} // g, l → value
	var written []Setting
	for _, end := range ends {
		side := end.Key[:1]
		if first[side] != "" || !isEnd(kind, end.Value) {
			continue
		}
		first[side] = end.Value
		written = append(written, Setting{end.Key, QuoteYAML(end.Value)})
	}
	if low, high := first["g"], first["l"]; low != "" && high != "" && !ascending(low, high, kind) {
		return ""
	}
	return flow(written)
}

// isEnd reports whether values of the type can be compared with an end.
func isEnd(kind, end string) bool {
	if kind == "date" {
		_, err := time.Parse(time.DateOnly, end)
		return err == nil
	}
	return (kind == "integer" || strings.HasPrefix(kind, "decimal")) && rangeEnd.MatchString(end)
}

func ascending(low, high, kind string) bool {
	if kind == "date" {
		return low < high
	}
	from, _ := strconv.ParseFloat(low, 64)
	to, _ := strconv.ParseFloat(high, 64)
	return from < to
}
