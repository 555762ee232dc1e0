package config

import (
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

var decimalType = regexp.MustCompile(`^decimal\((\d{1,2}), ?(\d{1,2})\)$`)

var fieldTypes = []string{"text", "integer", "decimal(p,s)", "boolean", "date", "datetime", "time", "choice", "choices", "acuity", "file", "zip"}

func (d *document) field(path string, doc fieldDoc, policy *study.DeidPolicy) study.Field {
	f := study.Field{Name: doc.Name, Label: doc.Label, Type: study.FieldType(doc.Type), Required: doc.Required,
		Min: doc.Range.low, Max: doc.Range.high, MinOpen: doc.Range.lowOpen, MaxOpen: doc.Range.highOpen,
		Pattern: doc.Pattern, Unit: doc.Unit}
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
	d.severities(path+".severity", &f, doc.Severity)
	f.Class = d.class(path, f, doc.Class)
	f.Release = doc.Release.Treatment
	d.treatment(path+".release", f, policy)
	return f
}

// severities checks that each severity is about a rule which the field has.
func (d *document) severities(path string, f *study.Field, doc severities) {
	f.Severity = study.FieldSeverity{Type: study.Severity(doc.Type), Choice: study.Severity(doc.Choice), Required: study.Severity(doc.Required),
		Range: study.Severity(doc.Range), Pattern: study.Severity(doc.Pattern)}
	for _, rule := range []struct {
		key string
		has bool
	}{
		{"choice", f.Type == study.Choice || f.Type == study.Choices},
		{"required", f.Required},
		{"range", f.Min != "" || f.Max != ""},
		{"pattern", f.Pattern != ""},
	} {
		if at := path + "." + rule.key; d.has(at) && !rule.has && !d.failed(at) && !d.failed(parent(path)+"."+rule.key) {
			d.errorf(at, "config.unknown_reference", "", "field %q has no %s rule that could be broken", f.Name, rule.key)
		}
	}
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
	order := 0
	var read func(text string) bool
	switch f.Type {
	case study.Integer, study.Decimal:
		read = isNumber
		if isNumber(r.low) && isNumber(r.high) {
			low, _ := new(big.Rat).SetString(r.low)
			high, _ := new(big.Rat).SetString(r.high)
			order = low.Cmp(high)
		}
	case study.DateType:
		read = func(text string) bool { _, ok := study.ParseDate(text); return ok }
		order = strings.Compare(r.low, r.high)
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
	if r.low == "" || r.high == "" {
		return
	}
	switch {
	case order > 0:
		d.errorf(path, "config.wrong_type", "write the lower end first", "the range of %q ends before it begins", f.Name)
	case order == 0 && (r.lowOpen || r.highOpen):
		d.errorf(path, "config.wrong_type", "", "no value is inside the range of %q", f.Name)
	}
}

// isNumber reports whether text is a plain decimal number: no fraction, no exponent.
func isNumber(text string) bool {
	if strings.Trim(text, "+-.0123456789") != "" {
		return false
	}
	_, ok := new(big.Rat).SetString(text)
	return ok
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
