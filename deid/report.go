package deid

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"longitude/deid/risk"
	"longitude/study"
)

// Counts is what the rules did to the values of a column.
type Counts struct {
	Nulled      int64 // had a value, and leave as missing
	TopCoded    int64 // ages and durations of more than 90 years
	Rounded     int64
	Clipped     int64
	Truncated   int64 // dates near the ends of the data
	Pooled      int64 // small sites, and ZIP prefixes of few people
	Generalised int64
	Suppressed  int64 // of participants whom the risk gate suppressed
}

// Report is what was done so that nobody can be told from a release: its
// de-identification report. Counts of one to ten print as <11.
type Report struct {
	Study         string               `json:"study"`
	Series        string               `json:"series"`
	Profile       string               `json:"profile"`
	Claim         string               `json:"claim"` // computed from the rules below
	Because       []string             `json:"because,omitempty"`
	AsOf          string               `json:"as_of,omitempty"`
	Dates         string               `json:"dates"`
	Pseudonym     string               `json:"pseudonym"`
	KeyVersion    int                  `json:"key_version"`
	Canon         string               `json:"canon"`
	Zip3Table     string               `json:"zip3_table_sha256"`
	Determination *DeterminationReport `json:"expert_determination,omitempty"`
	Warnings      []string             `json:"warnings,omitempty"`
	Identifiers   []Identifier         `json:"safe_harbor_identifiers"`
	Columns       []ColumnReport       `json:"columns"`
}

// DeterminationReport is the expert determination as held against the day of the
// release.
type DeterminationReport struct {
	Document string `json:"document"`
	Expert   string `json:"expert"`
	Date     string `json:"date"`
	Expires  string `json:"expires,omitempty"`
	SHA256   string `json:"sha256"`
	InForce  bool   `json:"in_force"`
}

// ColumnReport is what became of one column.
type ColumnReport struct {
	Table     string            `json:"table"`
	Column    string            `json:"column"`
	Class     study.Class       `json:"class"`
	Released  []string          `json:"released"` // names of what leaves; none: nothing does
	Rule      string            `json:"rule"`
	Claim     string            `json:"claim"` // the strongest that the rule allows
	Hierarchy string            `json:"hierarchy,omitempty"`
	Level     string            `json:"level,omitempty"`
	Counts    map[string]string `json:"counts,omitempty"`
}

// Report describes the tables projected so far and counts what Apply did to them.
// It reads nothing but the policy and the counts.
func (r *Recipient) Report() Report {
	p := r.study.Deid
	report := Report{Study: r.study.Name, Series: r.series, Profile: p.Profile, Claim: r.Claim(), Because: r.against(len(claims) - 1), AsOf: r.asOf.String(),
		Dates: p.Dates, Pseudonym: p.Pseudonym, KeyVersion: r.keyVersion, Canon: Canon, Zip3Table: Zip3Table(), Warnings: r.Warnings(), Identifiers: r.Identifiers()}
	if e := p.Expert; e.SHA256 != "" {
		report.Determination = &DeterminationReport{e.Document, e.Expert, e.Date.String(), e.Expires.String(), e.SHA256, e.Holds(r.asOf)}
	}
	for _, t := range r.order {
		for _, c := range t.columns {
			report.Columns = append(report.Columns, r.columnReport(t.from, c))
		}
	}
	return report
}

func (r *Recipient) columnReport(t *study.Table, c treated) ColumnReport {
	report := ColumnReport{Table: t.Name, Column: c.from.Name, Class: c.from.Class, Released: append([]string{}, c.released...), Rule: c.why, Claim: c.limit.claim, Counts: c.counts.shown()}
	if report.Claim == "" {
		report.Claim = claims[len(claims)-1]
	}
	if perPerson(t) && r.identifies(c.from) {
		f := r.field(c.from)
		if f != nil {
			report.Hierarchy = f.Release.Hierarchy
		}
		ladder := r.ladder(f)
		level := min(r.levels[c.from.Name], len(ladder)-1)
		report.Level = levelName(level, ladder[level])
	}
	return report
}

// shown are the counts that are not zero, as people may see them.
func (n *Counts) shown() map[string]string {
	out := map[string]string{}
	for _, c := range []struct {
		name  string
		count int64
	}{{"nulled", n.Nulled}, {"top_coded", n.TopCoded}, {"rounded", n.Rounded}, {"clipped", n.Clipped}, {"truncated", n.Truncated},
		{"pooled", n.Pooled}, {"generalised", n.Generalised}, {"suppressed", n.Suppressed}} {
		if c.count > 0 {
			out[c.name] = risk.Alone(c.count).String()
		}
	}
	return out
}

// JSON is the report for programs.
func (r Report) JSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(r)
	return b.Bytes(), err
}

// Markdown is the report for people.
func (r Report) Markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# De-identification of %s\n\n", r.Study)
	fmt.Fprintf(&b, "Claim, computed from the rules applied: **%s** (profile %s).\n", r.Claim, r.Profile)
	if len(r.Because) > 0 {
		b.WriteString("\nWhat bounds it:\n\n")
		for _, reason := range r.Because {
			fmt.Fprintf(&b, "- %s\n", reason)
		}
	}
	fmt.Fprintf(&b, "\n- Release series `%s`, key version %d, identifiers canonicalised by %s, participant codes %s\n", r.Series, r.KeyVersion, r.Canon, r.Pseudonym)
	fmt.Fprintf(&b, "- Dates: %s. Reckoned on %s\n- Table of restricted ZIP prefixes: SHA-256 `%s`\n", r.Dates, orDash(r.AsOf), r.Zip3Table)
	if d := r.Determination; d != nil {
		fmt.Fprintf(&b, "- Expert determination by %s of %s, expires %s, SHA-256 `%s`: %s\n", d.Expert, d.Date, orDash(d.Expires), d.SHA256,
			map[bool]string{true: "in force", false: "not in force"}[d.InForce])
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "- Warning: %s\n", w)
	}
	b.WriteString("\n## The eighteen identifiers of Safe Harbor\n\n| | identifier | | columns |\n|---|---|---|---|\n")
	for _, i := range r.Identifiers {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", i.Letter, i.Name, i.Status, strings.Join(i.Columns, ", "))
	}
	b.WriteString("\nNot evaluated is not a pass. Whether anybody knows who the remaining data are about is for the covered entity to say.\n")
	b.WriteString("\n## Columns\n\n| table | column | class | leaves as | rule | at most | level | values changed |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range r.Columns {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", c.Table, c.Column, c.Class, orDash(strings.Join(c.Released, ", ")), c.Rule, c.Claim,
			strings.TrimSpace(c.Hierarchy+" "+c.Level), c.Changed())
	}
	return b.Bytes()
}

// Changed says in words how many values the rule changed.
func (c ColumnReport) Changed() string {
	var parts []string
	for _, name := range []string{"nulled", "top_coded", "rounded", "clipped", "truncated", "pooled", "generalised", "suppressed"} {
		if n, some := c.Counts[name]; some {
			parts = append(parts, n+" "+strings.ReplaceAll(name, "_", "-"))
		}
	}
	return strings.Join(parts, ", ")
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
