package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longitude/connectors"
	"longitude/internal/config"
	"longitude/study"
	"longitude/transform"
	formatlist "longitude/transform/formats/all"
)

// discovering is what the command line says of a source that is to be described.
type discovering struct {
	typ, format, study, write string
	set                       []string
	compare                   bool
}

func (a *app) discoverCommand() *cobra.Command {
	var d discovering
	cmd := &cobra.Command{
		Use: "discover [SOURCE]", Short: "Propose the documents of a study from what a source says of its own shape", Args: cobra.MaximumNArgs(1),
		Long: `Asks a source for its dictionary, events and forms, and prints study and source
documents to start from: fields with their types, choices and ranges, a privacy class
proposed for each, visits with their windows, the mapping. They are valid as they are;
review every class before the first release. Reads no participant data.

The source is one of the configuration, or is named by --type with the keys of its
connector in --set. --compare shows what a configured source says otherwise than the
documents there are.

` + exitCodes,
		Example: "  longitude discover site-a-redcap --compare\n  longitude discover --type redcap --set url=https://redcap.example.org/api/ \\\n    --set 'token=${file:/run/secrets/redcap}' --set timezone=Europe/Berlin --study amd-01 --write config/",
		RunE: func(cmd *cobra.Command, names []string) error {
			if (len(names) == 1) == (d.typ != "") || d.compare && d.typ != "" {
				return &study.Error{Code: "usage.discover", Op: "what to describe is named twice, or not at all", Exit: study.ExitUsage,
					Hint: "name a source of the configuration, or --type with --set for each key of its connector"}
			}
			if d.typ != "" {
				return a.discoverNew(cmd.Context(), d)
			}
			return a.discoverConfigured(cmd.Context(), names[0], d)
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.typ, "type", "", "type of the connector, for a source that is not configured yet")
	f.StringArrayVar(&d.set, "set", nil, "KEY=VALUE of the connector, for --type; a secret is a reference such as ${env:NAME}")
	f.StringVar(&d.format, "format", "", "format that describes it (default: that of the source, or the one named like the type)")
	f.StringVar(&d.study, "study", "", "name of the study (default: that of the source)")
	f.StringVar(&d.write, "write", "", "folder to write study.yaml and source.yaml to, made if need be; files that are there stay")
	f.BoolVar(&d.compare, "compare", false, "show what the source says otherwise than its documents")
	return cmd
}

// discoverConfigured describes a source that has documents.
func (a *app) discoverConfigured(ctx context.Context, name string, d discovering) error {
	h, err := a.open(ctx, needConfig)
	if err != nil {
		return err
	}
	sources, err := h.sources([]string{name})
	if err != nil {
		return err
	}
	src := sources[0]
	block, err := connectorBlock(src.File, name)
	if err != nil {
		return err
	}
	if d.format == "" {
		d.format = src.Format.Type
	}
	if d.study == "" {
		d.study = src.Study
	}
	proposed, err := h.describe(ctx, src, d, block)
	if err != nil || !d.compare {
		return a.propose(proposed, d, err)
	}
	return a.compareProposal(h, src, proposed)
}

// discoverNew describes a source that only the command line names.
func (a *app) discoverNew(ctx context.Context, d discovering) error {
	block, err := connectorOf(d.typ, d.set)
	if err != nil {
		return err
	}
	if d.study == "" {
		d.study = "study"
	}
	if d.format == "" {
		d.format = d.typ
	}
	dir, err := os.MkdirTemp("", "longitude-discover-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	name := transform.QuoteYAML(d.study)
	stub := "study: " + name + "\ntitle: t\nprotocol: {id: p, version: \"1\"}\ntimezone: UTC\nenrolment: first_seen\nconsent: external\nforms: {f: {log: true, fields: [{name: x, type: integer, class: clinical}]}}\n---\n" +
		"source: discovered\nstudy: " + name + "\n" + rooted(block, d.write) + "map: {participant: {column: x, namespace: n}, forms: {f: {fields: {x: {column: x}}}}}\n"
	if err := os.WriteFile(filepath.Join(dir, "stub.yaml"), []byte(stub), 0o600); err != nil {
		return err
	}
	h := &house{a: a, now: time.Now}
	var findings []config.Finding
	if h.cfg, findings = config.Load(dir, a.configOptions()); config.Failed(findings) {
		return a.refuseKeys(findings)
	}
	proposed, err := h.describe(ctx, h.cfg.Sources[0], d, block)
	if e := (*study.Error)(nil); errors.As(err, &e) && strings.HasPrefix(e.Place, dir) { // a place nobody could look at
		placeless := *e
		placeless.Place = ""
		err = &placeless
	}
	return a.propose(proposed, d, err)
}

// refuseKeys says what is wrong with what the command line says. The document that
// it was checked in is none that anybody could look at.
func (a *app) refuseKeys(findings []config.Finding) error {
	for _, f := range findings {
		if f.Severity != config.Error {
			continue
		}
		fmt.Fprintf(a.err, "error: %s [%s]\n", f.Message, f.Code)
		if f.Hint != "" {
			fmt.Fprintf(a.err, "  → %s\n", f.Hint)
		}
	}
	return exitWith(study.ExitUsage)
}

var secretFile = regexp.MustCompile(`\$\{file:([^/}][^}]*)\}`)

// rooted has the files of secrets that are named without a root start where the
// documents will be.
func rooted(block, write string) string {
	here, err := filepath.Abs(write)
	if err != nil {
		return block
	}
	return secretFile.ReplaceAllStringFunc(block, func(ref string) string {
		return "${file:" + filepath.Join(here, secretFile.FindStringSubmatch(ref)[1]) + "}"
	})
}

// describe asks a source for its shape and has it described.
func (h *house) describe(ctx context.Context, src *config.SourceConfig, d discovering, block string) (*transform.Description, error) {
	describer, able := formatlist.Formats()[d.format].(transform.Describer)
	if !able {
		return nil, &study.Error{Code: "discover.format", Op: "the format cannot describe a source", Exit: study.ExitUsage,
			Hint: "name one that can with --format: " + strings.Join(describers(), ", ")}
	}
	source, err := h.source(src, func(name string) string { return name }) // nothing of what is digested is kept
	if err != nil {
		return nil, err
	}
	defer func() { _ = source.Close() }()
	discoverer, able := source.(connectors.Discoverer)
	if !able {
		return nil, &study.Error{Code: "discover.connector", Op: "a source of type " + src.Connector + " does not say what shape it has", Exit: study.ExitUsage,
			Hint: "write its documents by hand; `longitude preview` shows what they make of it"}
	}
	metadata, err := discoverer.Discover(ctx)
	if err != nil {
		return nil, err
	}
	proposed, err := describer.Describe(ctx, d.study, metadata)
	if err == nil {
		proposed.Source = append(bytes.TrimSuffix(proposed.Source, []byte("\n")), "\n"+block...)
	}
	return proposed, err
}

// describers are the formats that can describe a source.
func describers() (names []string) {
	formats := formatlist.Formats()
	for _, name := range slices.Sorted(maps.Keys(formats)) {
		if _, able := formats[name].(transform.Describer); able {
			names = append(names, name)
		}
	}
	return names
}

// propose prints the documents, or writes them where nothing is yet.
func (a *app) propose(p *transform.Description, d discovering, err error) error {
	if err != nil {
		return err
	}
	for _, note := range p.Notes {
		a.progress("%s", transform.Printable(note))
	}
	if d.write == "" {
		_, err := fmt.Fprintf(a.out, "%s---\n%s", p.Study, p.Source)
		return err
	}
	if err := os.MkdirAll(d.write, 0o755); err != nil {
		return &study.Error{Code: "discover.folder", Op: "the folder to write to could not be made", Exit: study.ExitUsage,
			Hint: "name one with --write that you may write to"}
	}
	for _, document := range []struct {
		name string
		text []byte
	}{{"study.yaml", p.Study}, {"source.yaml", p.Source}} {
		if err := writeNew(filepath.Join(d.write, document.name), document.text); err != nil {
			return err
		}
		a.progress("written: %s", filepath.Join(d.write, document.name))
	}
	return nil
}

func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return &study.Error{Code: "discover.exists", Op: "a document is there already; it was left as it is", Exit: study.ExitUsage,
			Hint: "name another folder, or move it away; `longitude discover SOURCE --compare` shows what is different"}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// compareProposal shows what proposed documents say otherwise than those in use.
func (a *app) compareProposal(h *house, src *config.SourceConfig, p *transform.Description) error {
	dir, err := os.MkdirTemp("", "longitude-discover-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := errors.Join(writeNew(filepath.Join(dir, "study.yaml"), p.Study), writeNew(filepath.Join(dir, "source.yaml"), p.Source)); err != nil {
		return err
	}
	found, findings := config.Load(dir, a.configOptions())
	if config.Failed(findings) {
		return a.refuse(findings)
	}
	s, err := h.study(src.Study)
	if err != nil {
		return err
	}
	changes := config.Compare(s, found.Studies[0], 0)
	proposed := found.Sources[0].Source
	proposed.Name = src.Name
	changes = append(changes, config.CompareSources(&src.Source, &proposed)...)
	rows := make([][]string, len(changes))
	for i, c := range changes {
		rows[i] = []string{string(c.Class), c.Text}
	}
	return a.print(changes, []string{"class", "what the source says otherwise"}, rows)
}

// connectorBlock is the `connector` of a source document as it is written.
func connectorBlock(file, source string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	named := regexp.MustCompile(`(?m)^source:\s*["']?` + regexp.QuoteMeta(source) + `["']?\s*(#.*)?$`)
	for document := range strings.SplitSeq(string(text), "\n---") {
		if !named.MatchString(document) {
			continue
		}
		var block strings.Builder
		inside := false
		for line := range strings.Lines(document) {
			if top := strings.TrimSpace(line) != "" && !strings.ContainsAny(line[:1], " \t#}]-"); top {
				inside = strings.HasPrefix(line, "connector:")
			}
			if inside {
				block.WriteString(line)
			}
		}
		return strings.TrimRight(block.String(), "\n") + "\n", nil
	}
	return "", &study.Error{Code: "discover.document", Op: "the document of the source could not be found in its file again", Exit: study.ExitUsage,
		Hint: "begin its first line with source: and its connector with connector: at the left margin"}
}

var plainValue = regexp.MustCompile(`^([\w.+-]+|[\[{].*[\]}])$`)

// connectorOf writes a connector of that type with the keys of the command line.
func connectorOf(typ string, set []string) (string, error) {
	inner := map[string][]string{} // of keys with a dot
	parts := []string{"type: " + transform.QuoteYAML(typ)}
	for _, pair := range set {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || !regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)?$`).MatchString(key) {
			return "", &study.Error{Code: "usage.set", Op: "--set is not KEY=VALUE", Exit: study.ExitUsage, Hint: "write --set url=https://…, and a key inside of another as web.attempts=3"}
		}
		if !plainValue.MatchString(value) {
			value = transform.QuoteYAML(value)
		}
		if outer, of, nested := strings.Cut(key, "."); nested {
			inner[outer] = append(inner[outer], of+": "+value)
		} else {
			parts = append(parts, key+": "+value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(inner)) {
		parts = append(parts, key+": {"+strings.Join(inner[key], ", ")+"}")
	}
	return "connector: {" + strings.Join(parts, ", ") + "}\n", nil
}
