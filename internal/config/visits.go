package config

import (
	"fmt"
	"math/big"
	"slices"

	"longitude/study"
)

// visits checks the protocol's slots and adds them to s, whose forms are known.
func (d *document) visits(docs []visitDoc, s *study.Study) {
	var forms, names []string
	for i := range s.Forms {
		forms = append(forms, s.Forms[i].Name)
	}
	for _, doc := range docs {
		names = append(names, doc.Name)
	}
	for i, doc := range docs {
		path := fmt.Sprintf("visits[%d]", i)
		v := study.VisitType{Name: doc.Name, Label: doc.Label, Number: doc.Number, Aliases: doc.Aliases, Anchor: doc.Anchor,
			Required: doc.Required == nil || *doc.Required}
		d.need(path+".name", doc.Name)
		d.named(path+".name", "visit", doc.Name, identifier)
		if doc.Anchor != "" {
			d.defined(path+".anchor", "visit", doc.Anchor, names)
		}
		d.target(path, doc, s.Days, &v)
		for _, f := range doc.Forms {
			d.defined(path+".forms."+f.Key, "form", f.Key, forms)
			v.Forms = append(v.Forms, study.VisitForm{Form: f.Key, Critical: f.Value == "critical", Optional: f.Value == "optional"})
		}
		s.Visits = append(s.Visits, v)
	}
	d.distinctVisits(s.Visits)
	d.anchors(s)
}

// target reads day and window. The window is written in days relative to the
// target, [-7, 14], and kept as distances.
func (d *document) target(path string, doc visitDoc, days study.DayConvention, v *study.VisitType) {
	v.NoTarget = doc.Day == nil
	if doc.Day != nil {
		v.Day = *doc.Day
		if days == study.CDISC && v.Day == 0 {
			d.errorf(path+".day", "config.window", "the baseline is day 1; or say days: elapsed", "day 0 does not exist where baseline is day 1")
		}
	}
	switch w := doc.Window; {
	case !d.has(path+".window") || d.failed(path+".window"):
	case len(w) != 2:
		d.errorf(path+".window", "config.window", "write [-7, 14]: from 7 days before the target to 14 days after", "a window has two ends")
	case v.NoTarget:
		d.errorf(path+".window", "config.window", "add day, or leave the window out", "visit %q has a window but no target day", v.Name)
	case w[0] > 0:
		d.errorf(path+".window[0]", "config.window", fmt.Sprintf("%d days before the target is written [-%d, %d]", w[0], w[0], w[1]), "the window of %q begins after its target", v.Name)
	case w[1] < 0:
		d.errorf(path+".window[1]", "config.window", fmt.Sprintf("%d days after the target is written [%d, %d]", -w[1], w[0], -w[1]), "the window of %q ends before its target", v.Name)
	default:
		v.Before, v.After, v.HasWindow = -w[0], w[1], true
	}
}

// distinctVisits reports names, aliases and numbers that mean more than one visit.
func (d *document) distinctVisits(visits []study.VisitType) {
	words, numbers := map[string]string{}, map[string]string{}
	claim := func(taken map[string]string, path, key, word, visit, code string) {
		if other, ok := taken[key]; ok && other == visit {
			d.errorf(path, code, "", "%q stands for two visits", word)
		} else if ok {
			d.errorf(path, code, "", "%q means both %s and %s", word, other, visit)
		}
		taken[key] = visit
	}
	for i, v := range visits {
		if v.Name != "" {
			claim(words, fmt.Sprintf("visits[%d].name", i), v.Name, v.Name, v.Name, "config.duplicate_name")
		}
	}
	for i, v := range visits {
		for j, alias := range v.Aliases {
			if alias != v.Name {
				claim(words, fmt.Sprintf("visits[%d].aliases[%d]", i, j), alias, alias, v.Name, "config.alias_overlap")
			}
		}
		if v.Number != "" {
			key := v.Number
			if n, ok := new(big.Rat).SetString(v.Number); ok {
				key = n.RatString() // 3 and 3.0 are the same number
			}
			claim(numbers, fmt.Sprintf("visits[%d].number", i), key, v.Number, v.Name, "config.duplicate_name")
		}
	}
}

// anchors reports windows that count from nothing: a visit that names no anchor
// counts from the visit baseline, or else from the first on the baseline's day.
func (d *document) anchors(s *study.Study) {
	first := 0
	if s.Days == study.CDISC {
		first = 1
	}
	found := slices.ContainsFunc(s.Visits, func(v study.VisitType) bool {
		return v.Name == "baseline" || v.Day == first && v.HasWindow && v.Anchor == ""
	})
	for i, v := range s.Visits {
		if v.Anchor == "" && v.HasWindow && !found {
			d.errorf(fmt.Sprintf("visits[%d].window", i), "config.window", "name a visit baseline, or say anchor", "nothing says what the window of %q counts from", v.Name)
		}
	}
}

// facts checks where enrolment and consent come from.
func (d *document) facts(s *study.Study) {
	var forms []string
	for i := range s.Forms {
		forms = append(forms, s.Forms[i].Name)
	}
	if !d.has("enrolment") {
		d.errorf("enrolment", "config.missing_key", "enrolment: {form: …}, first_seen or roster", "nothing says when a participant is in the study")
	} else if s.Enrolment.Form != "" {
		d.defined("enrolment.form", "form", s.Enrolment.Form, forms)
	}
	if s.Enrolment.Kind == "roster" {
		d.errorf("enrolment", "config.not_available", "use first_seen or {form: …}", "enrolment by roster is not available in this version")
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
