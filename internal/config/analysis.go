package config

import (
	"fmt"
	"strings"

	"longitude/study"
)

// analysis resolves the parameters of the tables for analysis; nil where the study does
// not say.
func (d *document) analysis(docs []parameterDoc, s *study.Study) []study.Parameter {
	if !d.has("releases.analysis") {
		return nil
	}
	all := []study.Parameter{}
	for k, doc := range docs {
		if p, ok := d.parameter(fmt.Sprintf("releases.analysis[%d]", k), doc, s); ok {
			all = append(all, p)
		}
	}
	return all
}

func (d *document) parameter(path string, doc parameterDoc, s *study.Study) (study.Parameter, bool) {
	if d.has(path + ".field") {
		path += ".field"
	}
	var known []string
	for i := range s.Forms {
		for f := range s.Forms[i].Fields {
			known = append(known, s.Forms[i].Name+"."+s.Forms[i].Fields[f].Name)
		}
	}
	if doc.Field == "" || !d.defined(path, "field", doc.Field, known) {
		return study.Parameter{}, false
	}
	form, field, _ := strings.Cut(doc.Field, ".")
	i := s.FormIndex(form)
	if !s.Analysable(i, s.Forms[i].FieldIndex(field)) {
		d.errorf(path, "config.analysis", "name a number, an acuity, a choice or a boolean of class clinical, released as it is as the eye of its form is, of a form that belongs to visits; no age, duration or year of birth",
			"%s cannot be followed from visit to visit", doc.Field)
		return study.Parameter{}, false
	}
	if doc.Method != "" && !d.defined(strings.TrimSuffix(path, ".field")+".method", "choice of the form", doc.Method, methodsOf(s, i)) {
		return study.Parameter{}, false
	}
	return study.Parameter{Form: form, Field: field, Method: doc.Method}, true
}

// methodsOf are the fields of form i that may tell methods apart.
func methodsOf(s *study.Study, i int) []string {
	var names []string
	for f := range s.Forms[i].Fields {
		if s.Forms[i].Fields[f].Type == study.Choice && s.Analysable(i, f) {
			names = append(names, s.Forms[i].Fields[f].Name)
		}
	}
	return names
}
