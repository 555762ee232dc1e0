package config

import (
	"maps"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"longitude/study"
)

// buildSource turns a source document into a source. What it says about a study
// is checked by fits, once every study is known.
func (d *document) buildSource(opt Options) *SourceConfig {
	var doc sourceDoc
	d.read("", d.body, &doc)
	c := &SourceConfig{File: d.file, Line: d.place("source").line, doc: d}
	c.Name, c.Study, c.Connector, c.Digest = doc.Source, doc.Study, doc.Connector.Type, d.digest
	d.need("source", doc.Source)
	d.named("source", "source", doc.Source, dashed)
	d.need("study", doc.Study)
	c.ConnectorConfig = d.connector(doc.Connector, opt)
	c.Schedule = study.Schedule{Cron: d.cron("schedule.cron", doc.Schedule.Cron), Timezone: d.zone("schedule.timezone", doc.Schedule.Timezone),
		Jitter: doc.Schedule.Jitter, CatchUp: d.oneOfOr("schedule.catch_up", doc.Schedule.CatchUp, "latest", "latest", "all", "skip")}
	if d.has("schedule") {
		d.need("schedule.cron", doc.Schedule.Cron)
	}
	c.Retry = d.retry(&doc)
	c.Format = d.format(&doc, opt)
	c.Snapshot = study.Snapshot{Kind: d.oneOfOr("snapshot", doc.Snapshot, "incremental", "incremental", "complete"), MaxRemoved: 0.05}
	for key, policy := range map[string]string{"new_column": doc.Drift.NewColumn, "missing_column": doc.Drift.MissingColumn, "type_change": doc.Drift.TypeChange} {
		d.oneOfOr("drift."+key, policy, "", "evolve", "quarantine", "freeze")
	}
	if doc.MaxRemoved < 0 || doc.MaxRemoved > 1 {
		d.errorf("max_removed", "config.wrong_type", "0.05 is 5 %", "max_removed is a share between 0 and 1")
	}
	c.Map = d.rowMapping(&doc.Map)
	d.noEffect("drift", "max_removed", "map.status", "map.consent", "map.change_reason")
	if c.Snapshot.Kind == "complete" {
		d.noEffect("snapshot")
	}
	return c
}

// connector decodes the connector's own keys into its config struct.
func (d *document) connector(doc connectorDoc, opt Options) any {
	if !d.need("connector.type", doc.Type) || opt.Connectors == nil {
		return nil
	}
	spec, known := opt.Connectors[doc.Type]
	if !known {
		d.errorf("connector.type", "config.unknown_value", didYouMean(doc.Type, slices.Sorted(maps.Keys(opt.Connectors))), "there is no connector %q", doc.Type)
		return nil
	}
	before := len(d.findings)
	config := spec.New()
	d.fields("connector", doc.keys, reflect.ValueOf(config).Elem())
	for _, f := range spec.Validate(config) {
		path := "connector." + f.Key
		if at := d.place(path); !slices.ContainsFunc(d.findings[before:], func(o Finding) bool { return d.has(path) && o.Line == at.line && o.Column == at.column }) {
			d.errorf(path, "config.connector", f.Hint, "%s: %s", f.Key, f.Message)
		}
	}
	return config
}

func (d *document) retry(doc *sourceDoc) study.Retry {
	r := study.Retry{Attempts: 5, Initial: 2 * time.Second, Max: 5 * time.Minute}
	if doc.Retry.Attempts != nil {
		if r.Attempts = *doc.Retry.Attempts; r.Attempts < 1 {
			d.errorf("retry.attempts", "config.wrong_type", "1 means no retry", "attempts counts the first one too")
		}
	}
	if doc.Retry.Initial != nil {
		r.Initial = *doc.Retry.Initial
	}
	if doc.Retry.Max != nil {
		r.Max = *doc.Retry.Max
	}
	return r
}

func (d *document) format(doc *sourceDoc, opt Options) study.FormatSpec {
	f := study.FormatSpec{Type: doc.Format.Type, Delimiter: ",", Encoding: doc.Format.Encoding, Header: true,
		DecimalMark: d.oneOfOr("format.decimal_mark", doc.Format.DecimalMark, ".", ".", ",")}
	if f.Type == "" {
		f.Type = "csv"
	}
	if f.Encoding == "" {
		f.Encoding = "auto"
	}
	if doc.Format.Header != nil {
		f.Header = *doc.Format.Header
	}
	if doc.Format.Delimiter != nil {
		if f.Delimiter = *doc.Format.Delimiter; utf8.RuneCountInString(f.Delimiter) != 1 {
			d.errorf("format.delimiter", "config.format", `";" or, for a tab, "\t"`, "a delimiter is one character")
			return f
		}
	}
	if opt.Formats == nil {
		return f
	}
	check, known := opt.Formats[f.Type]
	if !known {
		d.errorf("format.type", "config.unknown_value", didYouMean(f.Type, slices.Sorted(maps.Keys(opt.Formats))), "there is no format %q", f.Type)
		return f
	}
	problems := check(f)
	for _, key := range slices.Sorted(maps.Keys(problems)) {
		d.errorf("format."+key, "config.format", "", "%s: %s", key, problems[key])
	}
	return f
}

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
		VisitDate:    d.datePick("map.visit_date", doc.VisitDate),
		VisitDay:     d.pick("map.visit_day", doc.VisitDay),
		Planned:      d.datePick("map.planned_date", doc.PlannedDate),
		BaselineDate: d.datePick("map.baseline_date", doc.BaselineDate),
		Reason:       d.pick("map.reason", doc.Reason),
		Modified:     d.datePick("map.modified", doc.Modified),
		Entered:      d.datePick("map.entered", doc.Entered),
		Author:       d.pick("map.author", doc.Author),
		Withdrawn:    d.datePick("map.withdrawal", doc.Withdrawal),
	}
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
	m := study.FormMapping{Form: name, Occurrence: d.pick(path+".occurrence", doc.Occurrence),
		When: study.Pick{Column: doc.When.Column}, WhenValues: doc.When.In}
	if d.has(path + ".when") {
		d.need(path+".when.column", doc.When.Column)
	}
	for _, f := range doc.Fields {
		m.Fields = append(m.Fields, study.FieldMapping{Field: f.Key, Pick: d.pick(path+".fields."+f.Key, f.Value)})
	}
	if len(m.Fields) == 0 && !d.failed(path+".fields") {
		d.errorf(path, "config.missing_key", "", "nothing is mapped onto form %s", name)
	}
	return m
}

// datePick is pick for a date or an instant.
func (d *document) datePick(path string, doc pickDoc) study.Pick {
	if doc.Format != "" {
		d.layout(path+".format", doc.Format, true, false)
	}
	return d.pick(path, doc)
}

// pick reads where one value comes from: a column or a constant, one of the two.
func (d *document) pick(path string, doc pickDoc) study.Pick {
	p := study.Pick{Column: doc.Column, Format: doc.Format, Scale: doc.Scale, Values: doc.Values, Missing: doc.Missing}
	if doc.Value != nil {
		p.Value, p.Const = *doc.Value, true
	}
	switch {
	case p.Column != "" && p.Const:
		d.errorf(path, "config.wrong_type", "keep one of the two", "%s has both a column and a constant value", lastKey(path))
	case d.has(path) && !p.Mapped() && path != "map.visit" && !d.failed(path):
		d.errorf(path, "config.missing_key", "{column: NAME} or {value: TEXT}", "%s names no column and no value", lastKey(path))
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
	if c.Map.VisitBy == "date" && d.has("map.visit.aliases") {
		d.errorf("map.visit.aliases", "config.unknown_key", "", "visits placed by date have no names to translate")
	}
}

func (c *SourceConfig) fitsForm(path string, m study.FormMapping, form *study.Form) {
	d := c.doc
	repeated := form.RepeatsBy == "" || m.Occurrence.Mapped()
	for _, f := range m.Fields {
		at := path + ".fields." + f.Field
		if !d.defined(at, "field", f.Field, fieldNames(form)) {
			continue
		}
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
		default:
			d.errorf(path+".format", "config.wrong_type", "", "a layout applies to dates and times; %q is %s", f.Name, f.Type)
		}
	}
	if p.Scale != "" && f.Type != study.Acuity {
		d.errorf(path+".scale", "config.wrong_type", "", "a scale applies to acuity; %q is %s", f.Name, f.Type)
	}
}

func (d *document) isChoice(path, code string, f study.Field) {
	if known := codes(f); !slices.Contains(known, code) {
		d.errorf(path, "config.choice_unknown", didYouMean(code, known), "%q is not a choice of %q", code, f.Name)
	}
}

// calendars settles whether a study counts days from the anchor: all of its
// sources give days, or none does.
func calendars(s *study.Study, sources []*SourceConfig) {
	for _, c := range sources {
		s.Relative = s.Relative || c.Study == s.Name && c.Map.VisitDay.Mapped()
	}
	for _, c := range sources {
		if c.Study == s.Name && s.Relative && c.Map.VisitDate.Mapped() && !c.Map.VisitDay.Mapped() {
			c.doc.errorf("map.visit_date", "config.calendar_mixed", "map visit_day in every source of the study, or visit_date in every one",
				"other sources of study %q give days instead of dates, which cannot be compared", s.Name)
		}
	}
	for _, c := range sources {
		if c.Study == s.Name && c.Map.VisitBy == "date" && (c.Map.VisitDate.Mapped() || c.Map.VisitDay.Mapped()) {
			overlaps(c, s)
		}
	}
}

// overlaps warns where placement by date has a choice between two windows.
func overlaps(c *SourceConfig, s *study.Study) {
	for i, a := range s.Visits {
		for _, b := range s.Visits[i+1:] {
			if a.HasWindow && b.HasWindow && or(a.Anchor, "baseline") == or(b.Anchor, "baseline") && a.Day-a.Before <= b.Day+b.After && b.Day-b.Before <= a.Day+a.After {
				c.doc.warnf("map.visit.by", "config.window", "a visit inside both is left unscheduled where both are equally near",
					"visits are placed by date, and the windows of %s and %s overlap", a.Name, b.Name)
			}
		}
	}
}
