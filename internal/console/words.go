package console

import (
	"fmt"
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"

	"longitude/internal/status"
	"longitude/study"
)

// functions are the words of the templates.
func (c *console) functions() template.FuncMap {
	return template.FuncMap{
		"number": number, "bytes": bytesText, "words": words, "path": url.PathEscape, "query": url.QueryEscape,
		"day": dayText, "took": tookText, "plural": plural, "percent": percent, "signed": signed,
		"rejected": rejected, "prose": prose,
		"ago":  func(t *time.Time) string { return ago(t, c.Now()) },
		"when": when, "stamp": stamp,
		"moment": func(t time.Time) *time.Time { return &t },
		"labelled": func(label string, segments []segment) map[string]any {
			return map[string]any{"Label": label, "Segments": segments}
		},
	}
}

// number groups the digits of n in threes: 61,204.
func number(n any) string {
	s := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "−", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// rejected is how many entries of the quarantine a run made: whole rows and
// records of rows that were otherwise good.
func rejected(c study.Counts) int64 { return c.RowsQuarantined + c.Quarantined }

// signed is a distance in days: +15 d, −1 d, 0 d.
func signed(days *int) string {
	if *days > 0 {
		return "+" + number(*days) + " d"
	}
	return number(*days) + " d"
}

func bytesText(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	f, u := float64(n), 0
	for f >= 1000 && u < len(units)-1 {
		f, u = f/1000, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}

// words reads a code aloud: visit_out_of_window, "visit out of window".
func words(code string) string { return strings.ReplaceAll(code, "_", " ") }

// prose makes a sentence of a text in which `this` is code.
func prose(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		switch part := template.HTMLEscapeString(part); {
		case i%2 == 1:
			b.WriteString("<code>" + part + "</code>")
		case i == 0 && part != "":
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		default:
			b.WriteString(part)
		}
	}
	return template.HTML(b.String() + ".") // every part is escaped
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func plural(n any, one, many string) string {
	if s := fmt.Sprint(n); s == "1" {
		return "1 " + one
	}
	return number(n) + " " + many
}

// percent is n of total; "" when there is no total.
func percent(n, total int64) string {
	if total == 0 {
		return ""
	}
	p := 100 * float64(n) / float64(total)
	if n != 0 && p < 0.1 {
		return "<0.1%"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + "%"
}

// ago is the distance from t to now in one unit.
func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "never"
	}
	d, text := now.Sub(*t), "%s ago"
	if d < 0 {
		d, text = -d, "in %s"
	}
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf(text, fmt.Sprintf("%d min", d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf(text, fmt.Sprintf("%d h", d/time.Hour))
	}
	return fmt.Sprintf(text, fmt.Sprintf("%d days", d/(24*time.Hour)))
}

func when(t *time.Time) string {
	if t == nil {
		return "—"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// stamp is t for machines.
func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func tookText(r status.Run) string {
	switch d := r.Took(); {
	case r.Finished == nil || r.Started == nil:
		return "—"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	default:
		return d.Round(time.Second).String()
	}
}

// dayText is a date, or a day of a relative calendar, as people say it.
func dayText(d *status.Day) string {
	switch {
	case d == nil:
		return "—"
	case d.Date != "":
		return d.Date
	case d.Day != nil:
		return "day " + number(*d.Day)
	}
	return "—"
}
