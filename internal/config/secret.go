package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"longitude/study"
)

const redacted = "[redacted]"

// reference is one ${provider:name} of a document. It is looked up when it is
// used, so that a config can be validated where its secrets are not.
type reference struct {
	provider, name string
	at             place
	lookup         func() (string, error)
}

var (
	referenceText  = regexp.MustCompile(`\$\{(\w+):([^{}]*)\}`)
	referenceWhole = regexp.MustCompile(`^\$\{(\w+):([^{}]+)\}$`)
)

func isReference(text string) bool { return referenceWhole.MatchString(text) }

// reference reads text as ${provider:name} and remembers it; ok is false when it
// is something else or its provider cannot be used, which was then reported.
func (d *document) reference(path, text string) (r reference, ok bool) {
	m := referenceWhole.FindStringSubmatch(text)
	if m == nil {
		return r, false
	}
	r = reference{provider: m[1], name: m[2], at: d.place(path)}
	switch r.provider {
	case "env":
		r.lookup = func() (string, error) { return lookupEnv(d.getenv, r.name) }
	case "file":
		file := r.name
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(d.file), filepath.FromSlash(file))
		}
		r.lookup = func() (string, error) { return lookupFile(file, r.name) }
	case "gcp":
		d.errorf(path, "config.secret_provider", "use ${env:NAME} or ${file:path} until then",
			"secrets of Google Cloud need the gcp provider, which this version does not have")
		return r, false
	default:
		d.errorf(path, "config.secret_provider", "use ${env:NAME} or ${file:path}", "unknown kind of reference %q", r.provider)
		return r, false
	}
	d.references = append(d.references, r)
	return r, true
}

func lookupEnv(getenv func(string) string, name string) (string, error) {
	if value := getenv(name); value != "" {
		return value, nil
	}
	return "", &study.Error{Code: "config.secret_missing", Op: "environment variable " + name + " is not set",
		Hint: "set " + name + " in the environment of the program", Exit: study.ExitEnvironment}
}

// lookupFile reads a secret from a file; one line end at its end is not part of it.
func lookupFile(file, name string) (string, error) {
	text, err := os.ReadFile(file)
	if err == nil && len(text) > 0 {
		return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
	}
	why := "is empty"
	switch {
	case os.IsNotExist(err):
		why = "does not exist"
	case err != nil:
		why = "cannot be read"
	}
	return "", &study.Error{Code: "config.secret_missing", Op: "secret file " + name + " " + why,
		Hint: "put the secret there, readable by the program only; relative paths start at the config file", Exit: study.ExitEnvironment}
}

// secret decodes a value that must be a reference.
func (d *document) secret(path string, n ast.Node, s secret) {
	text, ok := d.text(path, n, "a reference such as ${env:NAME}")
	if !ok {
		return
	}
	if !isReference(text) {
		d.literal(path, n)
		return
	}
	if r, ok := d.reference(path, text); ok {
		s.SetReference(r.lookup)
	}
}

// literal reports a secret that stands in the file itself.
func (d *document) literal(path string, n ast.Node) {
	d.mask(d.at(n).line, n)
	d.errorf(path, "config.literal_secret", "move it out and refer to it: ${env:NAME} or ${file:path}; then change it, since files are copied",
		"%s holds a secret itself", lastKey(path))
}

// mask keeps the scalar n out of the snippets of a line.
func (d *document) mask(line int, n ast.Node) {
	if text, ok := scalarText(n); ok && text != "" {
		d.literals[line] = append(d.literals[line], text)
	}
}

// expand replaces every ${env:NAME} in a text that is not secret. A variable that
// is not set stays as written: Resolve reports it.
func (d *document) expand(path, text string) string {
	if !strings.Contains(text, "${") {
		return text
	}
	return referenceText.ReplaceAllStringFunc(text, func(whole string) string {
		if strings.HasPrefix(whole, "${file:") {
			d.errorf(path, "config.secret_provider", "use ${env:NAME} here", "${file:…} is read into secrets only")
			return whole
		}
		r, ok := d.reference(path, whole)
		if !ok {
			return whole
		}
		value, err := r.lookup()
		if err != nil {
			return whole
		}
		return value
	})
}

// resolve looks every reference of the document up and reports those that lead nowhere.
func (d *document) resolve() []Finding {
	var missing []Finding
	for _, r := range d.references {
		_, err := r.lookup()
		if err == nil {
			continue
		}
		f := Finding{File: d.file, Line: r.at.line, Column: r.at.column, Severity: Error, Code: "config.secret_missing",
			Message: fmt.Sprintf("${%s:%s} leads nowhere", r.provider, r.name), Snippet: d.snippet(r.at.line)}
		var e *study.Error
		if errors.As(err, &e) {
			f.Message, f.Hint = e.Op, e.Hint
		}
		missing = append(missing, f)
	}
	return missing
}

// Database holds the connection URLs of the four roles, all equal where one URL
// was given and all empty for the private local cluster. It prints as [redacted],
// since URLs hold passwords.
type Database struct{ Owner, App, Vault, Release string }

// Local reports whether the private local cluster is meant.
func (b Database) Local() bool { return b == Database{} }

func (Database) String() string               { return redacted }
func (Database) GoString() string             { return redacted }
func (Database) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Database) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// decode reads one URL for all roles, or a mapping with one for each.
func (b *Database) decode(d *document, path string, n ast.Node) {
	if n.Type() != ast.MappingType {
		url := d.databaseURL(path, n)
		*b = Database{url, url, url, url}
		return
	}
	roles := map[string]*string{"owner": &b.Owner, "app": &b.App, "vault": &b.Vault, "release": &b.Release}
	names := []string{"owner", "app", "vault", "release"}
	for _, e := range d.entries(path, n) {
		role, ok := roles[e.key]
		if !ok {
			d.find(Error, e.at, "config.unknown_key", fmt.Sprintf("unknown role %q in %s", e.key, path), didYouMean(e.key, names))
			continue
		}
		*role = d.databaseURL(e.path, e.value)
	}
	for _, name := range names {
		if !d.has(join(path, name)) {
			d.errorf(path, "config.missing_key", "give one URL for all roles, or one for each of owner, app, vault and release", "%s has no URL for the role %s", path, name)
		}
	}
}

// databaseURL reads a connection URL: a reference, or text without a password.
func (d *document) databaseURL(path string, n ast.Node) string {
	text, ok := d.text(path, n, "a URL or a reference")
	if !ok {
		return ""
	}
	if isReference(text) {
		r, ok := d.reference(path, text)
		if !ok {
			return ""
		}
		if value, err := r.lookup(); err == nil {
			return value
		}
		return text // still says that something was meant: an unset variable is not the local cluster
	}
	if u, err := url.Parse(text); err == nil && u.User != nil {
		if _, has := u.User.Password(); has {
			d.literal(path, n)
			return ""
		}
	}
	if strings.Contains(text, "password=") {
		d.literal(path, n)
	}
	return text
}
