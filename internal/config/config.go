package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"longitude/study"
)

// Options says what the config may refer to. The program knows its connectors and
// formats; a nil map or func leaves that part unchecked.
type Options struct {
	Today      study.Date // what takes effect by then changes what is recorded; 0 = nothing is past
	Connectors map[string]OwnKeys
	Sinks      map[string]OwnKeys
	Formats    map[string]func(study.FormatSpec) map[string]string           // what is wrong with a spec, as key → message
	CheckExpr  func(fields []string, expr string) (problem string)           // of a check within a form; "" = none
	CheckCross func(forms map[string][]string, expr string) (problem string) // of a check across forms, by their fields
	CheckPick  func(expr string) (problem string)                            // of a value computed from a row
	CheckUnits func(from, to string) (problem string)                        // of a conversion
	Getenv     func(string) string                                           // nil: the environment of the process
}

// OwnKeys is what config needs of a connector or a sink, which have keys of their
// own: New returns a pointer to its config struct holding the defaults, and Validate
// reports what is wrong with one.
type OwnKeys struct {
	New      func() any
	Validate func(config any) []KeyFinding
}

// KeyFinding is a mistake in the config of a connector or a sink, by its dotted key.
type KeyFinding struct{ Key, Message, Hint string }

// Config is a config folder that was read.
type Config struct {
	Dir     string
	Service Service
	Studies []*study.Study  // in the order of their files
	Sources []*SourceConfig // likewise

	service   *document
	docs      []*document
	protocols []*document // parallel to Studies
	unread    []*document // no YAML
}

// SourceConfig is a source with its connector's own config.
type SourceConfig struct {
	study.Source
	ConnectorConfig any    // pointer to the connector's struct, as New made it
	Pulls           string // the source that it only triggers, with no data of its own; "" = it has data
	File            string // the source's document; its relative paths start at this file's folder
	Line            int

	doc *document
}

// Service says how the program runs. Paths are resolved against the config folder.
type Service struct {
	Database      Database
	DataDir       string
	Landing       string   // file:PATH or gs://BUCKET/PREFIX
	Keys          string   // file:PATH or gcp-kms://…
	KeysDir       string   // file:PATH: the keys that one in Cloud KMS wraps
	Anchors       []string // where checkpoints of the audit log are kept: file:PATH or gs://BUCKET/PREFIX
	Listen        string   // status API and status page
	AdminListen   string   // metrics and health
	ReceiveListen string   // what senders push
	Workers       int
	OIDC          OIDC
	OpenLineage   string         // file:PATH or an http(s) endpoint; "" = off
	Sinks         map[string]any // pointers to the structs of the sinks that are configured, as New made them
}

// OIDC is an identity provider for people.
type OIDC struct{ Issuer, Audience, RoleClaim string }

// Load reads every *.yaml and *.yml below dir, hidden folders and files left out,
// and reports every mistake of all of them in the order of files and lines. The
// config is complete only when none of the findings is an error. References to
// the environment and to secrets need not lead anywhere yet: see Resolve.
func Load(dir string, opt Options) (*Config, []Finding) {
	if opt.Getenv == nil {
		opt.Getenv = os.Getenv
	}
	c := &Config{Dir: dir}
	findings := c.readFolder(opt.Getenv)
	for _, d := range c.docs {
		c.add(d, opt)
	}
	c.link()
	for i, s := range c.Studies {
		c.protocols[i].verifyDetermination(s.Deid.Expert)
	}
	if c.service == nil {
		c.Service = (&document{}).buildService(dir, opt.Getenv)
	}
	findings = append(findings, c.finish()...)
	sortFindings(findings)
	return c, findings
}

// finish lists what was found in the documents.
func (c *Config) finish() []Finding {
	var findings []Finding
	for _, d := range c.docs {
		findings = append(findings, d.finish()...)
	}
	sortFindings(findings)
	return findings
}

// maxFile bounds a config file; a larger one is something else by mistake.
const maxFile = 4 << 20

// readFolder finds and parses the documents; its findings are about files.
func (c *Config) readFolder(getenv func(string) string) (findings []Finding) {
	report := func(path, code, message, hint string) {
		findings = append(findings, Finding{File: path, Line: 1, Column: 1, Severity: Error, Code: code, Message: message, Hint: hint})
	}
	files := 0
	err := filepath.WalkDir(c.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != c.Dir && strings.HasPrefix(e.Name(), ".") {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(path); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			return nil
		}
		files++
		text, err := os.ReadFile(path)
		switch {
		case err != nil:
			report(path, "config.io", "this file cannot be read", "")
		case len(text) > maxFile:
			report(path, "config.io", "this file is too large for a configuration", "")
		default:
			for _, d := range splitDocuments(path, string(text)) {
				d.getenv = getenv
				c.docs = append(c.docs, d)
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		report(c.Dir, "config.io", "the config folder does not exist", "name it with --config or LONGITUDE_CONFIG")
	case err != nil:
		report(c.Dir, "config.io", "the config folder cannot be read", "")
	case files == 0:
		report(c.Dir, "config.io", "the config folder holds no *.yaml file", "name the folder that holds the study with --config or LONGITUDE_CONFIG")
	}
	return findings
}

// add builds what a document says it is by its first key.
func (c *Config) add(d *document, opt Options) {
	if d.opt = opt; !d.parse() {
		c.unread = append(c.unread, d)
		return
	}
	switch d.kind() {
	case "service":
		if c.service != nil {
			d.errorf("service", "config.duplicate_name", "keep one of the two", "the service is configured twice; first in %s", c.service.file)
			return
		}
		c.service = d
		c.Service = d.buildService(c.Dir, opt.Getenv)
	case "study":
		s := d.buildStudy(opt)
		if other := c.study(s.Name); other != nil && s.Name != "" {
			d.errorf("study", "config.name_collision", "names that differ only in - and _ are the same in the database", "study %q is defined already", other.Name)
			return
		}
		c.Studies, c.protocols = append(c.Studies, s), append(c.protocols, d)
	case "source":
		c.Sources = append(c.Sources, d.buildSource(opt))
	}
}

// study finds a study by name as the database sees it, with _ for -.
func (c *Config) study(name string) *study.Study {
	for _, s := range c.Studies {
		if strings.ReplaceAll(s.Name, "-", "_") == strings.ReplaceAll(name, "-", "_") {
			return s
		}
	}
	return nil
}

// link checks what documents say of each other.
func (c *Config) link() {
	names := make([]string, len(c.Studies))
	for i := range c.Studies {
		names[i] = c.Studies[i].Name
	}
	seen := map[string]*SourceConfig{}
	for _, source := range c.Sources {
		if other := seen[source.Name]; other != nil && source.Name != "" {
			source.doc.errorf("source", "config.duplicate_name", "", "source %q is defined already in %s", source.Name, other.File)
		}
		seen[source.Name] = source
		if source.Pulls != "" {
			source.doc.defined("connector.pulls", "source", source.Pulls, others(c.Sources, source))
		}
		if c.study(source.Study) == nil && slices.ContainsFunc(c.unread, func(d *document) bool { return d.mentions(source.Study) }) {
			continue // what is wrong is said where the study is
		}
		if source.Study != "" && source.doc.defined("study", "study", source.Study, names) {
			source.fits(c.study(source.Study))
		}
	}
	for i, s := range c.Studies {
		calendars(c.protocols[i], s, c.Sources)
		c.places(c.protocols[i], s)
	}
}

// others are the names of the other sources that have data.
func others(sources []*SourceConfig, but *SourceConfig) (names []string) {
	for _, s := range sources {
		if s != but && s.Pulls == "" {
			names = append(names, s.Name)
		}
	}
	return names
}

// Resolve looks up everything the config refers to, secrets included, and reports
// what leads nowhere. It keeps and prints no secret.
func (c *Config) Resolve() []Finding {
	var findings []Finding
	for _, d := range c.docs {
		findings = append(findings, d.resolve()...)
	}
	sortFindings(findings)
	return findings
}

// Resolve is Config.Resolve for what one source needs.
func (c *SourceConfig) Resolve() []Finding { return c.doc.resolve() }

// ResolveService is Config.Resolve for what the service needs.
func (c *Config) ResolveService() []Finding {
	if c.service == nil {
		return nil
	}
	return c.service.resolve()
}

// buildService reads the service document; without one, all defaults.
func (d *document) buildService(dir string, getenv func(string) string) Service {
	var doc serviceDoc
	if d.body != nil {
		d.read("", d.body, &doc)
	}
	in := &doc.Service
	s := Service{Database: in.Database, DataDir: in.DataDir, Landing: in.Landing, Keys: in.Keys, KeysDir: in.KeysDir, Anchors: in.Anchors, Listen: in.Listen, AdminListen: in.AdminListen,
		Workers: in.Workers, OIDC: OIDC(in.Access.OIDC), OpenLineage: in.Lineage.OpenLineage}
	if url := getenv("DATABASE_URL"); url != "" && !d.has("service.database") {
		s.Database = Database{url, url, url, url}
	}
	s.DataDir = absolute(dir, or(s.DataDir, ".longitude"))
	s.Landing = d.store(dir, "service.landing", or(s.Landing, "file:"+filepath.Join(s.DataDir, "landing")), "gs://")
	s.Keys = d.store(dir, "service.keys", or(s.Keys, "file:"+filepath.Join(s.DataDir, "keys")), "gcp-kms://")
	s.KeysDir = d.keysDir(dir, s)
	for i, place := range s.Anchors {
		s.Anchors[i] = d.store(dir, fmt.Sprintf("service.anchors[%d]", i), place, "gs://")
	}
	s.Listen = d.address("service.listen", or(s.Listen, "127.0.0.1:8080"))
	s.AdminListen = d.address("service.admin_listen", or(s.AdminListen, "127.0.0.1:9090"))
	s.ReceiveListen = d.address("service.receive_listen", or(in.ReceiveListen, "127.0.0.1:8081"))
	if s.OpenLineage != "" {
		s.OpenLineage = d.store(dir, "service.lineage.openlineage", s.OpenLineage, "http://", "https://")
	}
	if !d.has("service.workers") {
		s.Workers = 2
	} else if s.Workers < 1 && !d.failed("service.workers") {
		d.errorf("service.workers", "config.wrong_type", "", "at least one worker is needed")
	}
	s.Sinks = d.sinks(in.Sinks)
	d.noEffect("service.access")
	return s
}

// keysDir is where the keys are that a KEK in Cloud KMS wraps; a KEK in a file is
// beside its keys.
func (d *document) keysDir(dir string, s Service) string {
	if !strings.HasPrefix(s.Keys, "gcp-kms://") {
		if d.has("service.keys_dir") {
			d.errorf("service.keys_dir", "config.no_effect", "remove it", "keys_dir goes with a key of Cloud KMS: with file: the keys are in the folder of service.keys")
		}
		return ""
	}
	return d.store(dir, "service.keys_dir", or(s.KeysDir, "file:"+filepath.Join(s.DataDir, "keys")))
}

func or(value, missing string) string {
	if value == "" {
		return missing
	}
	return value
}

func absolute(dir, path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// store reads file:PATH, made absolute, or a URL of one of the other schemes.
func (d *document) store(dir, path, text string, schemes ...string) string {
	if file, ok := strings.CutPrefix(text, "file:"); ok && file != "" {
		return "file:" + absolute(dir, file)
	}
	for _, scheme := range schemes {
		if strings.HasPrefix(text, scheme) && len(text) > len(scheme) {
			return text
		}
	}
	allowed := "file:PATH"
	for _, scheme := range schemes {
		allowed += " or " + scheme + "…"
	}
	d.errorf(path, "config.unknown_value", "", "%s is %s", lastKey(path), allowed)
	return text
}

// address checks host:port to listen on.
func (d *document) address(path, text string) string {
	if _, port, err := net.SplitHostPort(text); err != nil || port == "" {
		d.errorf(path, "config.wrong_type", "127.0.0.1:8080, or :8080 for every address of the machine", "%s is not host:port", lastKey(path))
	}
	return text
}
