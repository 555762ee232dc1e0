package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/robfig/cron/v3"
)

// read decodes n into the value that v points to.
func (d *document) read(path string, n ast.Node, v any) {
	d.into(path, n, reflect.ValueOf(v).Elem())
}

// need reports a key that has to be there and is not; it says whether it is.
func (d *document) need(path, value string) bool {
	if value == "" && !d.failed(path) {
		d.errorf(path, "config.missing_key", "", "%s is missing%s", lastKey(path), inside(parent(path)))
	}
	return value != ""
}

// failed reports whether an error was already found at the value itself, so that
// one mistake is not reported twice.
func (d *document) failed(path string) bool {
	at, written := d.places[path]
	return written && slices.ContainsFunc(d.findings, func(f Finding) bool {
		return f.Severity == Error && f.Line == at.line && f.Column == at.column
	})
}

// mostDays bounds every number of days: what is further away is a slip of the pen,
// and dates of four-digit years can be reckoned with.
const mostDays = 100_000

// reckonable reports a number of days that no study counts.
func (d *document) reckonable(path string, days int) {
	if (days < -mostDays || days > mostDays) && !d.failed(path) {
		d.errorf(path, "config.wrong_type", "", "%d days are more than a study lasts: at most %d", days, mostDays)
	}
}

func parent(path string) string { return path[:max(strings.LastIndexByte(path, '.'), 0)] }

// oneOf is value where it is one of the known words, and the first of them otherwise.
func (d *document) oneOf(path, value string, known ...string) string {
	if slices.Contains(known, value) {
		return value
	}
	d.errorf(path, "config.unknown_value", didYouMean(value, known), "%s cannot be %q", lastKey(path), value)
	return known[0]
}

// oneOfOr is oneOf with a default for a key that was not written.
func (d *document) oneOfOr(path, value, missing string, known ...string) string {
	if value == "" {
		return missing
	}
	return d.oneOf(path, value, known...)
}

// defined reports a name that stands for nothing; it says whether it does.
func (d *document) defined(path, kind, name string, known []string) bool {
	if slices.Contains(known, name) {
		return true
	}
	d.errorf(path, "config.unknown_reference", didYouMean(name, known), "there is no %s %q", kind, name)
	return false
}

var (
	identifier = naming{regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`), "up to 40 small letters, digits and _, beginning with a letter"}
	dashed     = naming{regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`), "up to 40 small letters, digits and -, beginning with a letter"}
	prefix     = naming{regexp.MustCompile(`^[A-Z][A-Z0-9]{0,15}$`), "up to 16 capital letters and digits, beginning with a letter"}
	siteCode   = naming{regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`), "up to 32 letters, digits, _ and -"}
)

// naming is what names of a kind look like, for the program and in words.
type naming struct {
	pattern *regexp.Regexp
	rule    string
}

func (d *document) named(path, kind, name string, n naming) {
	if name != "" && !n.pattern.MatchString(name) {
		d.errorf(path, "config.name", n.rule, "%q cannot be the name of a %s", name, kind)
	}
}

// zone checks the name of a time zone and returns it.
func (d *document) zone(path, name string) string {
	if name == "" {
		return ""
	}
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		d.errorf(path, "config.timezone", "use a name of the IANA list, such as Europe/London", "%q is not a time zone", name)
	}
	return name
}

// cron checks a schedule of five fields or @every and returns it.
func (d *document) cron(path, text string) string {
	if text == "" {
		return ""
	}
	if strings.Contains(text, "TZ=") {
		d.errorf(path, "config.schedule", "give the zone under timezone", "a schedule does not name its own time zone")
	} else if _, err := cron.ParseStandard(text); err != nil {
		d.errorf(path, "config.schedule", `minute hour day month weekday, as in "*/15 * * * *", or "@every 10m"`, "%q is not a schedule", text)
	}
	return text
}

// layoutWords translates the usual ways of writing a layout into Go's.
var layoutWords = strings.NewReplacer("YYYY", "2006", "yyyy", "2006", "MMM", "Jan", "MM", "01", "DD", "02", "dd", "02",
	"HH", "15", "mm", "04", "ss", "05", "%Y", "2006", "%m", "01", "%d", "02", "%H", "15", "%M", "04", "%S", "05")

// layout checks a Go reference layout by writing an instant with it and reading it
// back: what does not survive is not in the layout.
func (d *document) layout(path, layout string, date, clock bool) {
	sample := time.Date(2034, time.November, 22, 17, 48, 39, 0, time.UTC)
	back, err := time.Parse(layout, sample.Format(layout))
	switch {
	case err == nil && (!date || back.Format(time.DateOnly) == sample.Format(time.DateOnly)) &&
		(!clock || back.Hour() == sample.Hour() && back.Minute() == sample.Minute()):
		return
	case layoutWords.Replace(layout) != layout:
		words := layout
		if !strings.ContainsAny(layout, "Hh") {
			words = strings.ReplaceAll(words, "mm", "MM") // no hours, no minutes
		}
		d.errorf(path, "config.date_layout", fmt.Sprintf("write %q: the layout shows how 2 January 2006, 15:04:05 is written", layoutWords.Replace(words)),
			"%q is not a layout", layout)
	default:
		d.errorf(path, "config.date_layout", `the layout shows how 2 January 2006, 15:04:05 is written, such as "02/01/2006"`,
			"%q does not hold a whole %s", layout, map[bool]string{true: "date", false: "time"}[date])
	}
}

// noEffect warns of keys that are understood and checked but not acted upon yet:
// nobody should rely on them by mistake.
func (d *document) noEffect(paths ...string) {
	for _, path := range paths {
		if d.has(path) {
			d.warnf(path, "config.no_effect", "", "%s is accepted but has no effect in this version", path)
		}
	}
}
