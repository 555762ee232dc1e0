package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"longitude/study"
)

// releaseTables are the tables that every release holds beside one per form.
var releaseTables = []string{"participants", "visits", "visit_schedule", "visit_status", "deviations",
	"data_quality", "codelists", "missing_reasons", "data_dictionary", "release_info"}

// buildStudy turns a study document into a study and reports what is wrong with it.
func (d *document) buildStudy(opt Options) *study.Study {
	var doc studyDoc
	d.read("", d.body, &doc)
	s := &study.Study{Name: doc.Study, Title: doc.Title, CodePrefix: doc.CodePrefix, Digest: d.digest,
		Protocol:  study.Protocol{ID: doc.Protocol.ID},
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
		if opt.Sinks != nil {
			d.oneOf(fmt.Sprintf("releases.to[%d]", i), to, slices.Sorted(maps.Keys(opt.Sinks))...)
		}
	}
	for _, f := range doc.Forms {
		s.Forms = append(s.Forms, d.form("forms."+f.Key, f.Key, f.Value, s, opt))
	}
	if len(s.Forms) == 0 && !d.failed("forms") {
		d.errorf("forms", "config.missing_key", "", "the study has no forms")
	}
	d.protocol(&doc, s)
	d.enrolment(s)
	d.identity(doc.Identity.Sex, doc.Identity.BirthYear, s)
	d.crossChecks(doc.Checks, s, opt)
	d.riskColumns(s)
	s.Releases.Analysis = d.analysis(doc.Releases.Analysis, s)
	d.noEffect("releases.approvals", "consent.version", "consent.scope")
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
		d.reckonable("deviations."+key, *written)
		return *written
	}
	p := study.DeviationPolicy{
		LateEntryDays:      days("late_entry_days", doc.LateEntryDays, 14),
		FormGraceDays:      days("form_grace_days", doc.FormGraceDays, 10),
		VisitOutOfWindow:   d.oneOfOr("deviations.visit_out_of_window", doc.VisitOutOfWindow, "accept", "accept", "require_reason", "block"),
		PlannedOutOfWindow: d.oneOfOr("deviations.planned_out_of_window", doc.PlannedOutOfWindow, "flag", "flag", "block"),
	}
	for _, code := range slices.Sorted(maps.Keys(doc.Kinds)) {
		path := "deviations.kinds." + code
		if !slices.Contains(deviationCodes, code) {
			d.errorf(path, "config.unknown_reference", didYouMean(code, deviationCodes), "there is no deviation %q", code)
			continue
		}
		if p.Kinds == nil {
			p.Kinds = map[string]study.DeviationKind{}
		}
		p.Kinds[code] = study.DeviationKind(d.oneOf(path, doc.Kinds[code], "deviation", "violation"))
	}
	return p
}

// deviationCodes are those that a protocol may call a deviation or a violation.
var deviationCodes = []string{study.VisitOutOfWindow, study.PlannedOutOfWindow, study.BaselineDateMismatch, study.FormMissing,
	study.FormsMissing, study.LateEntry, study.VisitMissed, study.VisitOrder, study.VisitAmbiguous, study.ChangeWithoutReason,
	study.AfterWithdrawal, study.BaselineMissing, study.ConsentMissing, study.UnknownParticipant, study.IdentityConflict, study.EditedAfterLock}

// form checks one form of the dictionary.
func (d *document) form(path, name string, doc formDoc, s *study.Study, opt Options) study.Form {
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
		f.Fields = append(f.Fields, d.field(at, field, &s.Deid))
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
	if by.Sealed() {
		d.errorf(path+".by", "config.sealed", "give it a class that is not sealed, such as clinical", "the form repeats by %q, which is sealed, and what tells records apart stands in clear", f.RepeatsBy)
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
