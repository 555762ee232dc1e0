package release

import (
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

// Kinds of a check of data quality that are not the rule of a field.
const (
	kindCheck = "check"       // between fields of one record
	kindCross = "cross_check" // between forms
)

// qualityCheck is one check of the study document and what it found among the
// released records. Records that a check refuses are in quarantine and not here.
type qualityCheck struct {
	id, table, column, kind string
	severity                study.Severity
	form                    int
	field                   int // -1: not of one field
	failed                  int64
}

// quality counts findings by check.
type quality struct {
	checks  []qualityCheck
	at      map[string]int // by findingKey
	records []int64        // released, by form
	values  [][]int64      // released, by form and field
}

// fieldRules are what a field's values may break, with the severity each has by itself.
var fieldRules = []struct {
	kind     string
	severity func(*study.Field) study.Severity
	has      func(*study.Field) bool
	findings []string // as the rule is named on records; nil = kind
}{
	{"required", func(f *study.Field) study.Severity { return f.Severity.Required }, func(f *study.Field) bool { return f.Required }, nil},
	{"type", func(f *study.Field) study.Severity { return f.Severity.Type }, func(f *study.Field) bool { return f.Severity.Type != "" && f.Severity.Type != study.Reject },
		[]string{"integer_invalid", "decimal_invalid", "boolean_invalid", "date_invalid", "datetime_invalid", "time_invalid", "acuity_invalid", "zip_invalid", "unit_inexact"}},
	{"choice", func(f *study.Field) study.Severity { return f.Severity.Choice }, func(f *study.Field) bool { return f.Severity.Choice != "" && f.Severity.Choice != study.Reject },
		[]string{"choice_unknown"}},
	{"range", func(f *study.Field) study.Severity { return f.Severity.Range }, func(f *study.Field) bool { return f.Min != "" || f.Max != "" }, nil},
	{"precision", func(*study.Field) study.Severity { return study.Flag }, func(f *study.Field) bool { return f.Type == study.DateTime }, nil},
}

// newQuality lists the checks of s that flag or note, in the order of the
// dictionary. Fields that leave no column leave no count either.
func newQuality(s *study.Study, tables []*study.Table) *quality {
	q := &quality{at: map[string]int{}, records: make([]int64, len(s.Forms)), values: make([][]int64, len(s.Forms))}
	for i := range s.Forms {
		q.values[i] = make([]int64, len(s.Forms[i].Fields))
		form, table := &s.Forms[i], tables[atForms+i].Name
		for n := range form.Fields {
			q.addField(form, i, n, table)
		}
		for _, c := range form.Checks {
			if c.Severity == study.Reject || tellsHidden(form.Fields, c.Expr) {
				continue
			}
			q.add(qualityCheck{id: form.Name + "." + c.Name, table: table, kind: kindCheck, severity: c.Severity, form: i, field: -1}, c.Name+":"+kindCheck)
		}
	}
	for _, c := range s.Checks {
		hidden := slices.ContainsFunc(s.Forms, func(f study.Form) bool { return tellsHidden(f.Fields, c.Expr) })
		if hidden {
			continue
		}
		q.add(qualityCheck{id: c.Name, table: tables[atForms+c.On].Name, kind: kindCross, severity: c.Severity, form: c.On, field: -1}, c.Name+":"+kindCross)
	}
	return q
}

func (q *quality) addField(form *study.Form, i, n int, table string) {
	f := &form.Fields[n]
	if hidden(f) {
		return
	}
	for _, r := range fieldRules {
		severity := r.severity(f)
		if severity == "" {
			severity = study.Flag
		}
		if !r.has(f) || severity == study.Reject {
			continue
		}
		findings := r.findings
		if findings == nil {
			findings = []string{r.kind}
		}
		c := qualityCheck{id: form.Name + "." + f.Name + "." + r.kind, table: table, column: f.Name, kind: r.kind, severity: severity, form: i, field: n}
		names := make([]string, len(findings))
		for k, rule := range findings {
			names[k] = f.Name + ":" + rule
		}
		q.add(c, names...)
	}
}

func (q *quality) add(c qualityCheck, findings ...string) {
	for _, f := range findings {
		q.at[findingKey(c.form, f)] = len(q.checks)
	}
	q.checks = append(q.checks, c)
}

func findingKey(form int, finding string) string { return strconv.Itoa(form) + "." + finding }

// hidden reports whether nothing of a field may be told, not even how often its
// values are out of range.
func hidden(f *study.Field) bool {
	return f.Sealed() || f.Class == study.Blinded || f.Class == study.Unclassified
}

// tellsHidden reports whether an expression reads a field of which nothing may be told.
func tellsHidden(fields []study.Field, expression string) bool {
	words := strings.FieldsFunc(expression, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	return slices.ContainsFunc(fields, func(f study.Field) bool { return hidden(&f) && slices.Contains(words, f.Name) })
}

// record counts what is found on one released record.
func (q *quality) record(r *study.CurrentRecord) {
	q.records[r.Key.Form]++
	if r.Findings == "" {
		return
	}
	for finding := range strings.SplitSeq(r.Findings, ",") {
		finding = strings.TrimSuffix(finding, ":"+string(study.Note))
		if i, ok := q.at[findingKey(r.Key.Form, finding)]; ok {
			q.checks[i].failed++
		}
	}
}

// value counts one value of a field, or one that was none of its type.
func (q *quality) value(form, field int) { q.values[form][field]++ }

// checked is to how many released rows a check applies.
func (q *quality) checked(c *qualityCheck) int64 {
	if c.field < 0 || c.kind == "required" {
		return q.records[c.form]
	}
	return q.values[c.form][c.field]
}

// across counts the findings of checks across forms that are about one of the
// released records.
func (q *quality) across(s *study.Study, deviations []study.Deviation, released func(study.RecordKey) bool) {
	for i := range deviations {
		d := &deviations[i]
		if d.Kind != study.IsFinding || d.State == study.Resolved {
			continue
		}
		about, name, _ := strings.Cut(d.Detail, ":")
		form, occurrence, more := strings.Cut(about, "/")
		if !more {
			occurrence = "1"
		}
		key := study.RecordKey{Form: s.FormIndex(form), VisitNo: d.VisitNo, Occurrence: occurrence}
		if n, known := q.at[findingKey(key.Form, name+":"+kindCross)]; known && released(key) {
			q.checks[n].failed++
		}
	}
}

func qualityTable() *study.Table {
	return &study.Table{Name: tableQuality, Label: "Data quality", Grain: "one row per check of the study document that does not refuse records", Key: []string{"check_order"},
		Columns: []study.Column{
			plain("check_order", "Order", study.Int64Kind, "Place of the check, from 1, in the order of the dictionary."),
			plain("check_id", "Check", study.TextKind, "Form, field and rule, or form and check, or the check across forms."),
			plain("table_name", "Table", study.TextKind, "Table whose rows are checked."),
			nullable(plain("column_name", "Field", study.TextKind, "Field that is checked; NULL where it is about several.")),
			coded(plain("check_kind", "Kind", study.TextKind, "What is checked."), listCheckKind),
			coded(plain("severity", "Severity", study.TextKind, "What a failure means."), listSeverity),
			nullable(plain("n_checked", "Checked", study.Int64Kind, "Released rows that the check applies to: of required all, of other rules on a field those with a value; NULL where it would tell of 1 to 10.")),
			nullable(plain("n_failed", "Failed", study.Int64Kind, "Released rows that fail it; NULL where 1 to 10 do, or do not. What a check refuses is in quarantine and in no table.")),
			nullable(plain("pct_failed", "Failed, percent", study.FloatKind, "100 × n_failed / n_checked, two decimals; NULL where nothing was checked or either is NULL.")),
			plain("passed", "Passed", study.BoolKind, "Whether no row fails it."),
		}}
}

// qualityBatch hides small counts as documents do: findings are on no released row,
// so nobody can count them there, and the table is printed as it is.
func qualityBatch(t *study.Table, q *quality, tell teller) *study.Batch {
	batch := newBatch(t)
	for i := range q.checks {
		c := &q.checks[i]
		l := staticLine(batch)
		l.int(int64(i + 1))
		l.text(c.id)
		l.text(c.table)
		l.textOrNull(c.column)
		l.text(c.kind)
		l.text(string(c.severity))
		failed, checked := tell.share(c.failed, q.checked(c))
		l.known(int(q.checked(c)), checked)
		l.known(int(c.failed), failed)
		if checked && failed {
			l.percent(c.failed, q.checked(c))
		} else {
			l.null()
		}
		l.bool(c.failed == 0)
	}
	return batch
}
