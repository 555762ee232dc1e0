package config

import (
	"maps"
	"slices"

	"longitude/study"
)

// rowMapping reads what of a row feeds what.
func (d *document) rowMapping(doc *mapDoc) study.Mapping {
	d.need("map", map[bool]string{true: "written"}[d.has("map")])
	d.need("map.participant.column", doc.Participant.Column)
	d.need("map.participant.namespace", doc.Participant.Namespace)
	m := study.Mapping{
		Participant:  study.Pick{Column: doc.Participant.Column},
		Namespace:    doc.Participant.Namespace,
		Site:         d.pick("map.site", doc.Site),
		Visit:        d.pick("map.visit", pickDoc{Column: doc.Visit.Column, Value: doc.Visit.Value}),
		VisitAliases: doc.Visit.Aliases,
		VisitRepeat:  d.pick("map.visit.repeat", doc.Visit.Repeat),
		VisitDate:    d.datePick("map.visit_date", doc.VisitDate),
		VisitDay:     d.pick("map.visit_day", doc.VisitDay),
		Planned:      d.datePick("map.planned_date", doc.PlannedDate),
		BaselineDate: d.datePick("map.baseline_date", doc.BaselineDate),
		Reason:       d.pick("map.reason", doc.Reason),
		Modified:     d.datePick("map.modified", doc.Modified),
		Entered:      d.datePick("map.entered", doc.Entered),
		Author:       d.pick("map.author", doc.Author),
		Withdrawn:    d.datePick("map.withdrawal", doc.Withdrawal),
		Status:       d.statusPick(doc.Status),
		StatusDate:   d.datePick("map.status_date", doc.StatusDate),
		ChangeReason: d.pick("map.change_reason", doc.ChangeReason),
	}
	m.Deleted, m.DeletedValues = d.when("map.deleted", doc.Deleted)
	if m.StatusDate.Mapped() && !m.Status.Mapped() {
		d.errorf("map.status_date", "config.missing_key", "status: {column: …, values: {…: completed}}", "nothing says which status begins on status_date")
	}
	d.pick("map.consent", doc.Consent)
	missing := "date"
	if m.Visit.Mapped() {
		missing = "name"
	}
	m.VisitBy = d.oneOfOr("map.visit.by", doc.Visit.By, missing, "name", "number", "date")
	if m.VisitBy != "date" && !m.Visit.Mapped() {
		d.errorf("map.visit", "config.missing_key", "visit: {column: …, by: "+m.VisitBy+"}", "visits are found by %s, and no column holds it", m.VisitBy)
	}
	if m.VisitDate.Mapped() && m.VisitDay.Mapped() {
		d.errorf("map.visit_day", "config.calendar_mixed", "map one of the two", "a source gives either dates or days of its visits")
	}
	if m.Site.Const {
		d.named("map.site.value", "site", m.Site.Value, siteCode)
	}
	if len(doc.Forms) == 0 && d.has("map") && !d.failed("map.forms") {
		d.errorf("map.forms", "config.missing_key", "", "the source feeds no form")
	}
	for _, f := range doc.Forms {
		m.Forms = append(m.Forms, d.formMapping("map.forms."+f.Key, f.Key, f.Value))
	}
	return m
}

func (d *document) formMapping(path, name string, doc formMappingDoc) study.FormMapping {
	m := study.FormMapping{Form: name, Occurrence: d.pick(path+".occurrence", doc.Occurrence)}
	m.When, m.WhenValues = d.when(path+".when", doc.When)
	pivots := d.has(path+".pivot") && !d.failed(path+".pivot")
	if pivots {
		m.Pivot = d.pivot(path+".pivot", doc.Pivot)
	}
	coded := false
	for _, f := range doc.Fields {
		at := path + ".fields." + f.Key
		pick := d.fieldPick(at, f.Value)
		coded = coded || pick.Code != ""
		if pick.Code != "" && !d.has(path+".pivot") {
			d.errorf(at+".code", "config.missing_key", "pivot: {code: TESTCD, value: RESULT} beside fields", "code names rows of a long table, and form %s has no pivot", name)
		}
		m.Fields = append(m.Fields, study.FieldMapping{Field: f.Key, Pick: pick})
	}
	switch {
	case len(m.Fields) == 0 && !d.failed(path+".fields"):
		d.errorf(path, "config.missing_key", "", "nothing is mapped onto form %s", name)
	case pivots && !coded && len(m.Fields) > 0 && !d.failed(path+".pivot"):
		d.errorf(path+".pivot", "config.missing_key", "iop_mmhg: {code: IOP}", "no field of form %s says by code which rows are its own", name)
	}
	return m
}

// pivot reads which column of a long table says what a row is about, and which
// holds the value. field is another word for code.
func (d *document) pivot(path string, doc pivotDoc) study.Pivot {
	code := path + ".code"
	if d.has(path + ".field") {
		if d.has(code) {
			d.errorf(code, "config.wrong_type", "keep one of the two", "code and field of a pivot mean the same")
		}
		code, doc.Code = path+".field", doc.Field
	}
	for _, at := range []string{code, path + ".value"} {
		if !d.has(at) {
			d.errorf(path, "config.missing_key", "pivot: {code: TESTCD, value: RESULT}", "%s is missing in %s", lastKey(at), path)
		}
	}
	return study.Pivot{Code: d.pick(code, pickDoc(doc.Code)), Value: d.pick(path+".value", pickDoc(doc.Value))}
}

// when reads a condition on a column: non-empty, or one of the values given.
func (d *document) when(path string, doc whenDoc) (study.Pick, []string) {
	if d.has(path) && !d.failed(path) {
		d.need(path+".column", doc.Column)
	}
	return study.Pick{Column: doc.Column}, doc.In
}

var statusWords = []string{string(study.Screening), string(study.ScreenFailure), string(study.Enrolled), string(study.Finished),
	string(study.Withdrew), string(study.Lost), string(study.Died)}

// statusPick is pick for a participant's status, which is one of seven words.
func (d *document) statusPick(doc pickDoc) study.Pick {
	const path = "map.status"
	p := d.pick(path, doc)
	for _, code := range slices.Sorted(maps.Keys(p.Values)) {
		d.oneOf(path+".values."+code, p.Values[code], statusWords...)
	}
	if p.Const {
		d.oneOf(path+".value", p.Value, statusWords...)
	}
	return p
}

// datePick is pick for a date or an instant.
func (d *document) datePick(path string, doc pickDoc) study.Pick {
	if doc.Format != "" {
		d.layout(path+".format", doc.Format, true, false)
	}
	return d.pick(path, doc)
}

// pick is fieldPick for what no form describes: it has no unit, and a row has it
// once.
func (d *document) pick(path string, doc pickDoc) study.Pick {
	for _, key := range []string{"unit", "code"} {
		if d.has(path + "." + key) {
			d.errorf(path+"."+key, "config.unknown_key", "", "%s is for the fields of a form, not for %s", key, lastKey(path))
		}
	}
	return d.fieldPick(path, doc)
}

// fieldPick reads where one value comes from: a column, a constant, an expression
// over columns, or the rows of a code; one of the four.
func (d *document) fieldPick(path string, doc pickDoc) study.Pick {
	p := study.Pick{Column: doc.Column, Expr: doc.Expr, Code: doc.Code, Trim: doc.Trim, Unit: doc.Unit,
		Format: doc.Format, Scale: doc.Scale, Values: doc.Values, Missing: doc.Missing}
	if doc.Value != nil {
		p.Value, p.Const = *doc.Value, true
	}
	ways := 0
	for _, taken := range []bool{p.Column != "", p.Const, p.Expr != "", p.Code != ""} {
		if taken {
			ways++
		}
	}
	switch {
	case ways > 1:
		d.errorf(path, "config.wrong_type", "keep one of column, value, expr and code", "%s takes its value from %d places", lastKey(path), ways)
	case d.has(path) && ways == 0 && path != "map.visit" && !d.failed(path):
		d.errorf(path, "config.missing_key", "{column: NAME}, {value: TEXT} or {expr: …}", "%s names no column and no value", lastKey(path))
	}
	if p.Expr != "" && d.opt.CheckPick != nil {
		if problem := d.opt.CheckPick(p.Expr); problem != "" {
			d.errorf(path+".expr", "config.expression", `col("NAME") is the text of a column`, "%s: %s", lastKey(path), problem)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(p.Missing)) {
		if reasons := missingReasons(); !slices.Contains(reasons, p.Missing[code]) {
			d.errorf(path+".missing."+code, "config.missing_reason", didYouMean(p.Missing[code], reasons), "%q is not a reason for a missing value", p.Missing[code])
		}
		if _, both := p.Values[code]; both {
			d.errorf(path+".missing."+code, "config.alias_overlap", "", "%q is both recoded and declared missing", code)
		}
	}
	if p.Scale != "" {
		d.oneOf(path+".scale", p.Scale, "etdrs_letters", study.AcuityETDRS, study.AcuitySnellen, study.AcuityLogMAR, study.AcuityDecimal)
	}
	return p
}

func missingReasons() []string {
	reasons := make([]string, len(study.MissingReasons))
	for i := range study.MissingReasons {
		reasons[i] = study.MissingReasons[i].Code
	}
	return reasons
}
