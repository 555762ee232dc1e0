package config

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"longitude/study"
)

// releaseTables are the tables that every release holds beside one per form.
var releaseTables = []string{"participants", "visits", "visit_schedule", "visit_status", "deviations",
	"codelists", "missing_reasons", "data_dictionary", "release_info"}

// buildStudy turns a study document into a study and reports what is wrong with it.
func (d *document) buildStudy(opt Options) *study.Study {
	var doc studyDoc
	d.read("", d.body, &doc)
	s := &study.Study{Name: doc.Study, Title: doc.Title, CodePrefix: doc.CodePrefix, Digest: d.digest,
		Protocol:  study.Protocol{ID: doc.Protocol.ID, Version: doc.Protocol.Version},
		Timezone:  d.zone("timezone", doc.Timezone),
		Days:      study.DayConvention(d.oneOfOr("days", doc.Days, "elapsed", "elapsed", "cdisc")),
		Enrolment: study.Enrolment(doc.Enrolment), Consent: study.Consent(doc.Consent)}
	d.need("study", doc.Study)
	d.named("study", "study", doc.Study, dashed)
	d.need("timezone", doc.Timezone)
	if s.CodePrefix == "" {
		s.CodePrefix = letters(doc.Study)
	} else {
		d.named("code_prefix", "participant code", s.CodePrefix, prefix)
	}
	s.Deviations = d.deviations(doc.Deviations)
	s.Deid = d.deidentification(doc.Deidentification)
	s.Releases = study.ReleasePolicy{Schedule: d.cron("releases.schedule", doc.Releases.Schedule), To: doc.Releases.To}
	for i, to := range doc.Releases.To {
		d.oneOf(fmt.Sprintf("releases.to[%d]", i), to, "local", "gcs", "bigquery")
	}
	for _, f := range doc.Forms {
		s.Forms = append(s.Forms, d.form("forms."+f.Key, f.Key, f.Value, opt))
	}
	if len(s.Forms) == 0 && !d.failed("forms") {
		d.errorf("forms", "config.missing_key", "", "the study has no forms")
	}
	d.visits(doc.Visits, s)
	d.facts(s)
	d.noEffect("releases.approvals", "deidentification.risk", "deidentification.min_release_interval", "consent.version", "consent.scope")
	return s
}

// letters is the default prefix of participant codes: the letters of the study's name.
func letters(name string) string {
	upper := strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			return -1
		}
		return r - 'a' + 'A'
	}, name)
	return upper[:min(len(upper), 16)]
}

func (d *document) deviations(doc deviationsDoc) study.DeviationPolicy {
	days := func(key string, written *int, missing int) int {
		if written == nil {
			return missing
		}
		if *written < 0 {
			d.errorf("deviations."+key, "config.wrong_type", "", "%s cannot be negative", key)
		}
		return *written
	}
	return study.DeviationPolicy{
		LateEntryDays:    days("late_entry_days", doc.LateEntryDays, 14),
		FormGraceDays:    days("form_grace_days", doc.FormGraceDays, 10),
		VisitOutOfWindow: d.oneOfOr("deviations.visit_out_of_window", doc.VisitOutOfWindow, "accept", "accept", "require_reason", "block"),
	}
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (d *document) deidentification(doc deidDoc) study.DeidPolicy {
	const at = "deidentification."
	p := study.DeidPolicy{
		Profile:       d.oneOfOr(at+"profile", doc.Profile, "limited", "internal", "limited", "expert", "safe_harbor"),
		Pseudonym:     d.oneOfOr(at+"pseudonym", doc.Pseudonym, "derived", "derived", "random"),
		Dates:         d.oneOfOr(at+"dates", doc.Dates, "study_day", "study_day", "shift", "year", "keep"),
		MissedLagDays: 30,
	}
	if p.Pseudonym == "random" {
		d.errorf(at+"pseudonym", "config.not_available", "use derived", "random participant codes are not available in this version")
	}
	if doc.MissedLag != nil {
		p.MissedLagDays = int(*doc.MissedLag / (24 * time.Hour))
	}
	determination := at + "expert_determination"
	if d.has(determination) {
		if sum := doc.ExpertDetermination.SHA256; d.need(determination+".sha256", sum) && !sha256Hex.MatchString(sum) {
			d.errorf(determination+".sha256", "config.wrong_type", "as sha256sum prints it", "sha256 must be 64 hexadecimal digits")
		}
		for key, text := range map[string]string{"date": doc.ExpertDetermination.Date, "expires": doc.ExpertDetermination.Expires} {
			if _, ok := study.ParseDate(text); text != "" && !ok {
				d.errorf(determination+"."+key, "config.wrong_type", "", "%s must be a date written YYYY-MM-DD", key)
			}
		}
		p.ExpertDocument = doc.ExpertDetermination.SHA256
	} else if p.Profile == "expert" {
		d.warnf(at+"profile", "config.claim", "add expert_determination, or use limited", "without an expert determination the claim stops at limited, and releases under this profile are refused")
	}
	return p
}

// form checks one form of the dictionary.
func (d *document) form(path, name string, doc formDoc, opt Options) study.Form {
	f := study.Form{Name: name, Label: doc.Label, Log: doc.Log}
	d.named(path, "form", name, identifier)
	if slices.Contains(releaseTables, name) {
		d.errorf(path, "config.name_collision", "choose another name", "every release holds a table %q already", name)
	}
	seen := map[string]bool{}
	for i, field := range doc.Fields {
		at := fmt.Sprintf("%s.fields[%d]", path, i)
		if seen[field.Name] && field.Name != "" {
			d.errorf(at+".name", "config.duplicate_name", "", "form %s has two fields named %q", name, field.Name)
		}
		seen[field.Name] = true
		f.Fields = append(f.Fields, d.field(at, field))
	}
	if len(f.Fields) == 0 && !d.failed(path+".fields") {
		d.errorf(path, "config.missing_key", "", "form %s has no fields", name)
	}
	if doc.Repeats != nil {
		f.RepeatsBy, f.Expect = doc.Repeats.By, doc.Repeats.Expect
		d.repeats(path+".repeats", &f)
	}
	for i, c := range doc.Checks {
		at := fmt.Sprintf("%s.checks[%d]", path, i)
		d.need(at+".name", c.Name)
		d.named(at+".name", "check", c.Name, identifier)
		if d.need(at+".expr", c.Expr) && opt.CheckExpr != nil {
			if problem := opt.CheckExpr(fieldNames(&f), c.Expr); problem != "" {
				d.errorf(at+".expr", "config.check", "fields of the form: "+strings.Join(fieldNames(&f), ", "), "check %q: %s", c.Name, problem)
			}
		}
		severity := study.Severity(d.oneOfOr(at+".severity", c.Severity, "flag", "reject", "flag", "note"))
		f.Checks = append(f.Checks, study.Check{Name: c.Name, Expr: c.Expr, Severity: severity})
	}
	return f
}

func fieldNames(f *study.Form) []string {
	names := make([]string, len(f.Fields))
	for i := range f.Fields {
		names[i] = f.Fields[i].Name
	}
	return names
}

// repeats checks the field whose value tells the repeats of a form apart.
func (d *document) repeats(path string, f *study.Form) {
	if f.Log {
		d.errorf(path, "config.unknown_value", "a log form's records are told apart by the occurrence that its source maps", "a log form does not repeat within a visit")
	}
	if !d.need(path+".by", f.RepeatsBy) || !d.defined(path+".by", "field", f.RepeatsBy, fieldNames(f)) {
		return
	}
	by := f.Fields[f.FieldIndex(f.RepeatsBy)]
	if by.Type != study.Choice {
		d.errorf(path+".by", "config.wrong_type", "", "the form repeats by %q, which must be a choice and is %s", f.RepeatsBy, by.Type)
		return
	}
	for i, code := range f.Expect {
		d.defined(fmt.Sprintf("%s.expect[%d]", path, i), "choice", code, codes(by))
	}
}

func codes(f study.Field) []string {
	list := make([]string, len(f.Choices))
	for i := range f.Choices {
		list[i] = f.Choices[i].Code
	}
	return list
}

var decimalType = regexp.MustCompile(`^decimal\((\d{1,2}), ?(\d{1,2})\)$`)

var fieldTypes = []string{"text", "integer", "decimal(p,s)", "boolean", "date", "datetime", "time", "choice", "choices", "acuity", "file"}

func (d *document) field(path string, doc fieldDoc) study.Field {
	f := study.Field{Name: doc.Name, Label: doc.Label, Type: study.FieldType(doc.Type), Required: doc.Required,
		Min: doc.Range.low, Max: doc.Range.high, Pattern: doc.Pattern, Unit: doc.Unit}
	d.need(path+".name", doc.Name)
	d.named(path+".name", "field", doc.Name, identifier)
	if m := decimalType.FindStringSubmatch(doc.Type); m != nil {
		f.Type = study.Decimal
		f.Precision, _ = strconv.Atoi(m[1])
		f.Scale, _ = strconv.Atoi(m[2])
		if f.Precision < 1 || f.Precision > 18 || f.Scale > f.Precision {
			d.errorf(path+".type", "config.wrong_type", "decimal(4,1) is 123.4; at most 18 digits", "a decimal has 1 to 18 digits, and no more decimals than digits")
		}
	} else if d.need(path+".type", doc.Type) && !slices.Contains(fieldTypes, doc.Type) {
		d.errorf(path+".type", "config.unknown_value", didYouMean(doc.Type, fieldTypes), "%q is not a field type", doc.Type)
	}
	for _, c := range doc.Choices {
		d.choice(path+".choices", f.Type, c)
		f.Choices = append(f.Choices, study.ChoiceItem{Code: c.Key, Label: c.Value})
	}
	d.choicesFit(path, f)
	d.rangeFits(path+".range", doc.Range, f)
	if f.Pattern != "" {
		if _, err := regexp.Compile(f.Pattern); err != nil {
			d.errorf(path+".pattern", "config.wrong_type", "RE2 syntax, whole value", "pattern is not a regular expression")
		} else if f.Type != study.Text {
			d.errorf(path+".pattern", "config.wrong_type", "", "a pattern applies to text, not to %s", f.Type)
		}
	}
	f.Class = d.class(path, f, doc.Class)
	return f
}

func (d *document) choice(path string, t study.FieldType, c pair[string]) {
	if c.Key == "" || strings.ContainsFunc(c.Key, func(r rune) bool { return r < ' ' }) {
		d.errorf(path, "config.wrong_type", "", "a code is text without control characters")
	}
	if t == study.Choices && strings.ContainsAny(c.Key, ",|") {
		d.errorf(path, "config.wrong_type", "choose another code and recode with values", "the code %q of a choices field cannot hold , or |", c.Key)
	}
}

func (d *document) choicesFit(path string, f study.Field) {
	chooses := f.Type == study.Choice || f.Type == study.Choices
	switch {
	case chooses && len(f.Choices) == 0 && !d.failed(path+".choices"):
		d.errorf(path+".choices", "config.missing_key", "choices: {R: Right, L: Left}, or a list of codes", "field %q has no choices", f.Name)
	case !chooses && len(f.Choices) > 0:
		d.errorf(path+".choices", "config.wrong_type", "make it a choice", "field %q is %s and has choices", f.Name, f.Type)
	}
	seen := map[string]bool{}
	for _, c := range f.Choices {
		if seen[c.Code] {
			d.errorf(path+".choices", "config.duplicate_name", "", "code %q is listed twice", c.Code)
		}
		seen[c.Code] = true
	}
}

// rangeFits checks that both ends are values of the field's type and in order.
func (d *document) rangeFits(path string, r rangeDoc, f study.Field) {
	if !r.written {
		return
	}
	var ordered bool
	var read func(text string) bool
	switch f.Type {
	case study.Integer, study.Decimal:
		low, lowOK := new(big.Rat).SetString(r.low)
		high, highOK := new(big.Rat).SetString(r.high)
		ordered = !lowOK || !highOK || low.Cmp(high) <= 0
		read = func(text string) bool {
			_, ok := new(big.Rat).SetString(text)
			return ok && !strings.ContainsAny(text, "/eExX_")
		}
	case study.DateType:
		ordered = r.low == "" || r.high == "" || r.low <= r.high
		read = func(text string) bool { _, ok := study.ParseDate(text); return ok }
	default:
		d.errorf(path, "config.wrong_type", "", "a range applies to integer, decimal and date, not to %s", f.Type)
		return
	}
	for _, end := range []string{r.low, r.high} {
		if end != "" && !read(end) {
			d.errorf(path, "config.wrong_type", "", "an end of the range of %q is not a value of its type", f.Name)
			return
		}
	}
	if !ordered {
		d.errorf(path, "config.wrong_type", "write the lower end first", "the range of %q ends before it begins", f.Name)
	}
}

var classes = []string{"direct_identifier", "participant_key", "other_key", "quasi", "date", "study_date", "clinical",
	"sensitive", "blinded", "free_text", "attachment", "system"}

// class checks the privacy class. Text is typed or nothing: what stays text is
// sealed, and what analysts need is a choice.
func (d *document) class(path string, f study.Field, class string) study.Class {
	if class == "" {
		if !d.failed(path) {
			d.warnf(path+".name", "config.class_missing", "add class: clinical, quasi, date, free_text …", "field %q has no class: releases of this study are refused", f.Name)
		}
		return study.Unclassified
	}
	c := study.Class(d.oneOf(path+".class", class, classes...))
	if (f.Type == study.Text || f.Type == study.File) && !c.Sealed() {
		d.errorf(path+".class", "config.text_class", "make it a choice with a code list, or class: free_text, which is sealed", "%s field %q cannot be %s: text is never released", f.Type, f.Name, class)
	}
	return c
}
