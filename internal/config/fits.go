package config

import (
	"maps"
	"slices"

	"longitude/study"
)

// fits checks a source's mapping against its study.
func (c *SourceConfig) fits(s *study.Study) {
	d := c.doc
	if c.Schedule.Timezone == "" {
		c.Schedule.Timezone = s.Timezone
	}
	names, forms := make([]string, len(s.Visits)), make([]string, len(s.Forms))
	for i := range s.Visits {
		names[i] = s.Visits[i].Name
	}
	for i := range s.Forms {
		forms[i] = s.Forms[i].Name
	}
	c.aliases(s, names)
	for _, m := range c.Map.Forms {
		path := "map.forms." + m.Form
		if !d.defined(path, "form", m.Form, forms) {
			continue
		}
		form := &s.Forms[s.FormIndex(m.Form)]
		if !form.Log && !c.Map.Visit.Mapped() && !c.Map.VisitDate.Mapped() && !c.Map.VisitDay.Mapped() {
			d.errorf(path, "config.missing_key", "map visit, visit_date or visit_day; or make the form a log form", "form %s belongs to visits, and nothing of a row says which", m.Form)
		}
		c.fitsForm(path, m, form)
	}
}

// aliases checks the source's words for visits.
func (c *SourceConfig) aliases(s *study.Study, names []string) {
	d := c.doc
	for _, word := range slices.Sorted(maps.Keys(c.Map.VisitAliases)) {
		path, target := "map.visit.aliases."+word, c.Map.VisitAliases[word]
		d.defined(path, "visit", target, names)
		for _, v := range s.Visits {
			if v.Name != target && (v.Name == word || slices.Contains(v.Aliases, word)) {
				d.errorf(path, "config.alias_overlap", "", "%q already means %s", word, v.Name)
			}
		}
	}
	numbered := slices.ContainsFunc(s.Visits, func(v study.VisitType) bool { return v.Number != "" })
	if c.Map.VisitBy == "number" && !numbered && len(c.Map.VisitAliases) == 0 {
		d.errorf("map.visit", "config.missing_key", "give the study's visits their number, or translate the source's numbers under aliases",
			"visits are found by number, and no visit of the study has one: all would be unscheduled")
	}
	if c.Map.VisitBy == "date" && d.has("map.visit.aliases") {
		d.errorf("map.visit.aliases", "config.unknown_key", "", "visits placed by date have no names to translate")
	}
}

func (c *SourceConfig) fitsForm(path string, m study.FormMapping, form *study.Form) {
	d := c.doc
	repeated := form.RepeatsBy == "" || m.Occurrence.Mapped()
	codes := map[string]string{}
	for _, f := range m.Fields {
		at := path + ".fields." + f.Field
		if !d.defined(at, "field", f.Field, fieldNames(form)) {
			continue
		}
		if f.Field == form.RepeatsBy && f.Pick.Code != "" && !m.Occurrence.Mapped() {
			d.errorf(at+".code", "config.missing_key", "map occurrence to the column that every row has", "form %s repeats by %s, which only some rows of the long table hold", m.Form, f.Field)
		}
		if other, taken := codes[f.Pick.Code]; taken && f.Pick.Code != "" {
			d.errorf(at+".code", "config.alias_overlap", "", "code %q feeds both %s and %s", f.Pick.Code, other, f.Field)
		}
		codes[f.Pick.Code] = f.Field
		repeated = repeated || f.Field == form.RepeatsBy
		d.fitsField(at, f.Pick, form.Fields[form.FieldIndex(f.Field)])
	}
	if !repeated {
		d.errorf(path, "config.missing_key", "map the field "+form.RepeatsBy+", or occurrence", "form %s repeats by %s, and nothing is mapped onto it", m.Form, form.RepeatsBy)
	}
	if form.Log && form.RepeatsBy == "" && !m.Occurrence.Mapped() {
		d.warnf(path, "config.one_record", `map occurrence to the row's own number, or write occurrence: {value: "1"} if a participant has only one`,
			"all rows of log form %s of a participant would be versions of one record", m.Form)
	}
}

// fitsField checks what a pick says against the type of the field it feeds.
func (d *document) fitsField(path string, p study.Pick, f study.Field) {
	if f.Type == study.Choice || f.Type == study.Choices {
		for _, code := range slices.Sorted(maps.Keys(p.Values)) {
			d.isChoice(path+".values."+code, p.Values[code], f)
		}
		if p.Const && f.Type == study.Choice {
			d.isChoice(path+".value", p.Value, f)
		}
	}
	if p.Format != "" {
		switch f.Type {
		case study.DateType:
			d.layout(path+".format", p.Format, true, false)
		case study.DateTime:
			d.layout(path+".format", p.Format, true, true)
		case study.TimeType:
			d.layout(path+".format", p.Format, false, true)
		case study.Zip:
			if p.Format != study.NumericFormat {
				d.errorf(path+".format", "config.wrong_type", "format: numeric fills up codes that lost their leading zeros", "the format of ZIP field %q can only be numeric", f.Name)
			}
		default:
			d.errorf(path+".format", "config.wrong_type", "", "a layout applies to dates and times; %q is %s", f.Name, f.Type)
		}
	}
	if p.Unit != "" {
		d.fitsUnit(path+".unit", p.Unit, f)
	}
	if p.Scale != "" && f.Type != study.Acuity {
		d.errorf(path+".scale", "config.wrong_type", "", "a scale applies to acuity; %q is %s", f.Name, f.Type)
	}
}

// fitsUnit checks that the source's unit can become the field's.
func (d *document) fitsUnit(path, unit string, f study.Field) {
	switch {
	case f.Type != study.Integer && f.Type != study.Decimal:
		d.errorf(path, "config.unit", "", "a unit applies to integer and decimal; %q is %s", f.Name, f.Type)
	case f.Unit == "":
		d.errorf(path, "config.unit", "give the field its unit in the study document", "%q has no unit to convert to", f.Name)
	case d.opt.CheckUnits != nil:
		if problem := d.opt.CheckUnits(unit, f.Unit); problem != "" {
			d.errorf(path, "config.unit", "", "%q: %s", f.Name, problem)
		}
	}
}

func (d *document) isChoice(path, code string, f study.Field) {
	if known := codes(f); !slices.Contains(known, code) {
		d.errorf(path, "config.choice_unknown", didYouMean(code, known), "%q is not a choice of %q", code, f.Name)
	}
}

// calendars settles whether a study counts days from the anchor: all of its
// sources give days, or none does. d is the study's document.
func calendars(d *document, s *study.Study, sources []*SourceConfig) {
	for _, c := range sources {
		s.Relative = s.Relative || c.Study == s.Name && c.Map.VisitDay.Mapped()
	}
	for _, c := range sources {
		if c.Study == s.Name && s.Relative && c.Map.VisitDate.Mapped() && !c.Map.VisitDay.Mapped() {
			c.doc.errorf("map.visit_date", "config.calendar_mixed", "map visit_day in every source of the study, or visit_date in every one",
				"other sources of study %q give days instead of dates, which cannot be compared", s.Name)
		}
	}
	if s.Relative && len(s.Versions) > 1 {
		d.errorf("amendments", "config.calendar_mixed", "write the newest protocol as the only version", "amendments take effect on dates, and the sources of study %q give days instead", s.Name)
	}
	if i := slices.IndexFunc(sources, func(c *SourceConfig) bool { return c.Study == s.Name && c.byDate() }); i >= 0 {
		d.overlaps(s, sources[i].Name)
	}
}

// byDate reports whether the source's visits are told apart by their dates.
func (c *SourceConfig) byDate() bool {
	return c.Map.VisitBy == "date" && (c.Map.VisitDate.Mapped() || c.Map.VisitDay.Mapped())
}
