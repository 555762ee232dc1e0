package config

import (
	"fmt"
	"slices"
	"strings"

	"longitude/study"
)

func formNames(s *study.Study) []string {
	names := make([]string, len(s.Forms))
	for i := range s.Forms {
		names[i] = s.Forms[i].Name
	}
	return names
}

// enrolment checks where enrolment and consent come from.
func (d *document) enrolment(s *study.Study) {
	forms := formNames(s)
	if !d.has("enrolment") {
		d.errorf("enrolment", "config.missing_key", "enrolment: {form: …}, first_seen or roster", "nothing says when a participant is in the study")
	} else if s.Enrolment.Form != "" {
		d.defined("enrolment.form", "form", s.Enrolment.Form, forms)
	}
	if s.Enrolment.Kind == "roster" {
		d.errorf("enrolment", "config.not_available", "use first_seen or {form: …}: a list of participants that a source delivers is a form", "enrolment by roster is not available in this version: nothing says where the list comes from")
	}
	switch {
	case !d.has("consent"):
		d.errorf("consent", "config.missing_key", "consent: {form: …, field: …}, or external: consent checks are then not evaluable", "nothing says where consent comes from")
	case s.Consent.Form != "" && d.defined("consent.form", "form", s.Consent.Form, forms):
		form := &s.Forms[s.FormIndex(s.Consent.Form)]
		if s.Consent.Field != "" && d.defined("consent.field", "field", s.Consent.Field, fieldNames(form)) {
			if t := form.Fields[form.FieldIndex(s.Consent.Field)].Type; t != study.DateType {
				d.errorf("consent.field", "config.wrong_type", "", "the date of consent must be a date, and %q is %s", s.Consent.Field, t)
			}
		}
	}
}

// identity reads the fields that tell one person from another.
func (d *document) identity(sex, birthYear []string, s *study.Study) {
	for i, ref := range sex {
		d.fact(fmt.Sprintf("identity.sex[%d]", i), ref, study.SexFact, s)
	}
	for i, ref := range birthYear {
		d.fact(fmt.Sprintf("identity.birth_year[%d]", i), ref, study.BirthYearFact, s)
	}
}

// factTypes are the types of the fields that tell facts, and how to say so.
var factTypes = map[study.FactKind]struct {
	field study.FieldType
	rule  string
}{
	study.EventFact:     {study.DateType, "windows count from dates"},
	study.SexFact:       {study.Choice, "sex is a choice"},
	study.BirthYearFact: {study.Integer, "a birth year is an integer"},
}

// fact adds the field that ref names, form.field, to what the study knows of a
// participant as a whole.
func (d *document) fact(path, ref string, kind study.FactKind, s *study.Study) {
	if slices.ContainsFunc(s.Facts, func(f study.FactSource) bool { return f.Name == ref && f.Kind == kind }) {
		return
	}
	formName, fieldName, ok := strings.Cut(ref, ".")
	if !ok {
		d.errorf(path, "config.wrong_type", "write form.field, such as demographics.sex", "%q does not name a field of a form", ref)
		return
	}
	if !d.defined(path, "form", formName, formNames(s)) {
		return
	}
	form := &s.Forms[s.FormIndex(formName)]
	if !d.defined(path, "field", fieldName, fieldNames(form)) {
		return
	}
	field := form.Fields[form.FieldIndex(fieldName)]
	switch want := factTypes[kind]; {
	case field.Type != want.field:
		d.errorf(path, "config.wrong_type", "", "%s, and %s is %s", want.rule, ref, field.Type)
	case field.Sealed():
		d.errorf(path, "config.sealed", "give it a class that is not sealed, such as quasi or date", "%s is sealed, and rules cannot read what is sealed", ref)
	default:
		s.Facts = append(s.Facts, study.FactSource{Name: ref, Kind: kind, Form: s.FormIndex(formName), Field: form.FieldIndex(fieldName)})
	}
}

// crossChecks reads the expressions over several forms.
func (d *document) crossChecks(docs []crossDoc, s *study.Study, opt Options) {
	fields := map[string][]string{}
	for i := range s.Forms {
		fields[s.Forms[i].Name] = fieldNames(&s.Forms[i])
	}
	seen := map[string]bool{}
	for i, doc := range docs {
		at := fmt.Sprintf("checks[%d]", i)
		d.need(at+".name", doc.Name)
		d.named(at+".name", "check", doc.Name, identifier)
		if seen[doc.Name] && doc.Name != "" {
			d.errorf(at+".name", "config.duplicate_name", "", "two checks are named %q", doc.Name)
		}
		seen[doc.Name] = true
		if d.need(at+".expr", doc.Expr) && opt.CheckCross != nil {
			if problem := opt.CheckCross(fields, doc.Expr); problem != "" {
				d.errorf(at+".expr", "config.check", "fields are written form.field", "check %q: %s", doc.Name, problem)
			}
		}
		severity := study.Flag
		if doc.Severity == string(study.Reject) {
			d.errorf(at+".severity", "config.unknown_value", "use flag or note; a check of one form may reject", "check %q runs over what is stored, which cannot be rejected afterwards", doc.Name)
		} else {
			severity = study.Severity(d.oneOfOr(at+".severity", doc.Severity, "flag", "flag", "note"))
		}
		if d.need(at+".on", doc.On) && d.defined(at+".on", "form", doc.On, formNames(s)) {
			s.Checks = append(s.Checks, study.CrossCheck{Name: doc.Name, Expr: doc.Expr, On: s.FormIndex(doc.On), Severity: severity})
		}
	}
}
