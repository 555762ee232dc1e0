package config

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

// studyTraits puts a study into words. Whoever adds something to study.Study says
// here what a change of it does.
func studyTraits(s *study.Study) traits {
	var t traits
	t.value("study", "name of the study", s.Name, Destructive)
	t.value("title", "title", s.Title, Additive)
	t.value("protocol.id", "protocol", s.Protocol.ID, Additive)
	t.value("code_prefix", "prefix of participant codes", s.CodePrefix, Destructive)
	t.value("timezone", "time zone", s.Timezone, Destructive)
	t.value("days", "convention of target days", string(s.Days), Destructive)
	t.value("calendar", "calendar", map[bool]string{true: "days from the anchor", false: "dates"}[s.Relative], Destructive)
	t.value("enrolment", "enrolment", strings.TrimSpace(s.Enrolment.Kind+" "+s.Enrolment.Form), Rejudge)
	t.value("consent", "consent", strings.TrimSpace(s.Consent.Kind+" "+s.Consent.Form+" "+s.Consent.Field), Rejudge)
	t.deviations(&s.Deviations)
	t.protocol(s)
	for i := range s.Forms {
		t.form(&s.Forms[i])
	}
	t.participants(s)
	t.deidentification(&s.Deid)
	t.value("releases.schedule", "schedule of releases", s.Releases.Schedule, NoEffect)
	t.value("releases.analysis", "parameters for analysis", parameters(s.Releases.Analysis), NoEffect)
	t.value("releases.to", "places of releases", sorted(s.Releases.To), NoEffect)
	return t
}

// parameters are the parameters for analysis in words.
func parameters(all []study.Parameter) string {
	if all == nil {
		return "every number"
	}
	var names []string
	for _, p := range all {
		names = append(names, strings.TrimSuffix(p.Form+"."+p.Field+" by "+p.Method, " by "))
	}
	return strings.Join(names, ", ")
}

func sorted(words []string) string { return strings.Join(slices.Sorted(slices.Values(words)), ", ") }

func (t *traits) deviations(p *study.DeviationPolicy) {
	blocks := func(_, new trait) Class {
		if new.value == "block" {
			return Destructive
		}
		return Rejudge
	}
	t.value("deviations.late_entry_days", "days until an entry is late", strconv.Itoa(p.LateEntryDays), Rejudge)
	t.value("deviations.form_grace_days", "days until a form is missing", strconv.Itoa(p.FormGraceDays), Rejudge)
	t.weighed("deviations.visit_out_of_window", "policy for visits outside their windows", p.VisitOutOfWindow, nil, blocks)
	t.weighed("deviations.planned_out_of_window", "policy for planned dates outside windows", p.PlannedOutOfWindow, nil, blocks)
	var kinds []string
	for code, kind := range p.Kinds {
		kinds = append(kinds, code+" is a "+string(kind))
	}
	t.value("deviations.kinds", "kinds", sorted(kinds), Rejudge)
}

// protocol describes the first version whole, and of each amendment what it says
// that the version before does not.
func (t *traits) protocol(s *study.Study) {
	baseline := ""
	if i := s.Baseline(); i >= 0 {
		baseline = s.Visits[i].Name
	}
	t.value("baseline", "visit that windows count from", baseline, Destructive)
	for k, version := range s.Versions {
		path, in := "visits.", ""
		if k == 0 {
			t.value("protocol.version", "first version of the protocol", version.Version, Additive)
			t.value("protocol.effective", "day on which the first version takes effect", version.Effective.String(), Destructive)
			t.value("protocol.sites", "sites that adopted the first version otherwise", adopted(version.Sites), Rejudge)
		} else {
			amendment := "amendments[" + version.Version + "]"
			t.thing(amendment, fmt.Sprintf("version %s of the protocol, in force from %s,", version.Version, version.Effective), Additive, Destructive)
			t.value(amendment+".effective", "day on which version "+version.Version+" takes effect", version.Effective.String(), Destructive)
			t.value(amendment+".sites", "sites that adopted version "+version.Version+" otherwise", adopted(version.Sites), Rejudge)
			path, in = amendment+".visits.", " in version "+version.Version
		}
		for i := range version.Visits {
			before := &study.VisitType{Absent: true}
			if k > 0 {
				before = &s.Versions[k-1].Visits[i]
			}
			v := &version.Visits[i]
			t.visitBeside(path+v.Name, in, v, before, baseline)
		}
	}
}

// visitBeside describes a visit of a version beside that of the version before.
func (t *traits) visitBeside(path, in string, v, before *study.VisitType, baseline string) {
	switch {
	case v.Absent && !before.Absent:
		t.thing(path+".retired", "retirement of "+v.Name+in, Destructive, Rejudge)
	case !v.Absent && before.Absent:
		t.thing(path, "visit "+v.Name+in, Additive, Destructive)
		t.visit(path, in, v, nil, baseline)
	case !v.Absent:
		t.visit(path, in, v, before, baseline)
	}
}

func adopted(sites map[string]study.Date) string {
	var words []string
	for site, day := range sites {
		words = append(words, site+" "+or(day.String(), "never"))
	}
	return sorted(words)
}

// visit describes v, or what of it differs from before.
func (t *traits) visit(path, in string, v, before *study.VisitType, baseline string) {
	say := func(key, word string, value func(*study.VisitType) string, weigh func(old, new trait) Class) {
		if text := value(v); before == nil || text != value(before) {
			t.weighed(path+"."+key, word+" of "+v.Name+in, text, nil, weigh)
		}
	}
	always := func(c Class) func(trait, trait) Class { return func(trait, trait) Class { return c } }
	say("label", "label", func(v *study.VisitType) string { return v.Label }, always(Additive))
	say("number", "number", func(v *study.VisitType) string { return v.Number }, kept)
	say("aliases", "aliases", func(v *study.VisitType) string { return sorted(v.Aliases) }, kept)
	say("day", "target", func(v *study.VisitType) string {
		if v.NoTarget {
			return ""
		}
		return "day " + strconv.Itoa(v.Day)
	}, always(Destructive))
	say("days", "convention of days", func(v *study.VisitType) string { return or(string(v.Days), "that of the study") }, always(Destructive))
	say("window", "window", func(v *study.VisitType) string {
		if !v.HasWindow {
			return ""
		}
		return fmt.Sprintf("%d..%d days", -v.Before, v.After)
	}, always(Destructive))
	say("anchor", "anchor", func(v *study.VisitType) string {
		if v.Anchor == "" || v.Anchor == baseline {
			return "the baseline"
		}
		return v.Anchor
	}, always(Destructive))
	say("required", "expectation", func(v *study.VisitType) string {
		return map[bool]string{true: "required", false: "optional"}[v.Required]
	}, always(Rejudge))
	say("repeats", "number of visits", func(v *study.VisitType) string { return map[bool]string{true: "any", false: "one"}[v.Repeats] }, always(Destructive))
	say("max_days", "reach beyond the window", func(v *study.VisitType) string { return strconv.Itoa(v.MaxDays) + " days" }, always(Rejudge))
	say("forms", "forms", visitForms, always(Rejudge))
}

// kept weighs words that sources use: more of them are additive, and rows that
// used one which is gone have to be read again.
func kept(old, new trait) Class {
	now := strings.Split(new.value, ", ")
	for word := range strings.SplitSeq(old.value, ", ") {
		if old.value != "" && !slices.Contains(now, word) {
			return Replay
		}
	}
	return Additive
}

func visitForms(v *study.VisitType) string {
	var words []string
	for _, f := range v.Forms {
		switch {
		case f.Critical && f.Optional:
			words = append(words, f.Form+" (critical, optional)")
		case f.Critical:
			words = append(words, f.Form+" (critical)")
		case f.Optional:
			words = append(words, f.Form+" (optional)")
		default:
			words = append(words, f.Form)
		}
	}
	return sorted(words)
}

// participants describes checks across forms and the facts about a participant.
func (t *traits) participants(s *study.Study) {
	for _, c := range s.Checks {
		path := "checks." + c.Name
		t.thing(path, "check "+c.Name, Rejudge, Rejudge)
		on := ""
		if c.On >= 0 && c.On < len(s.Forms) {
			on = s.Forms[c.On].Name
		}
		t.value(path+".on", "form of check "+c.Name, on, Rejudge)
		t.value(path+".expr", "check "+c.Name, c.Expr, Rejudge)
		t.value(path+".severity", "severity of check "+c.Name, string(c.Severity), Rejudge)
	}
	for _, f := range s.Facts {
		t.thing("facts."+string(f.Kind)+"."+f.Name, fmt.Sprintf("%s as the participant's %s", f.Name, strings.ReplaceAll(string(f.Kind), "_", " ")), Rejudge, Rejudge)
	}
}

func (t *traits) form(f *study.Form) {
	path := "forms." + f.Name
	t.thing(path, "form "+f.Name, Additive, Destructive)
	t.value(path+".label", "label of "+f.Name, f.Label, Additive)
	t.value(path+".log", "place of "+f.Name, map[bool]string{true: "tied to no visit", false: "at visits"}[f.Log], Destructive)
	t.value(path+".repeats.by", "what repeats "+f.Name, f.RepeatsBy, Destructive)
	t.value(path+".repeats.expect", "records expected of "+f.Name, sorted(f.Expect), Rejudge)
	for i := range f.Fields {
		t.field(path+".fields."+f.Fields[i].Name, f.Name+"."+f.Fields[i].Name, &f.Fields[i])
	}
	for _, c := range f.Checks {
		path, name := path+".checks."+c.Name, "check "+c.Name+" of "+f.Name
		t.thing(path, name, stricter(c.Severity), Rejudge)
		t.value(path+".expr", name, c.Expr, stricter(c.Severity))
		t.severity(path+".severity", "severity of "+name, c.Severity, "")
	}
}

// stricter is the class of a rule that may now be broken by what was accepted.
func stricter(s study.Severity) Class {
	if s == study.Reject {
		return Destructive
	}
	return Rejudge
}

func (t *traits) severity(path, subject string, s, missing study.Severity) {
	t.weighed(path, subject, or(string(s), string(missing)), nil, func(_, new trait) Class { return stricter(study.Severity(new.value)) })
}

func (t *traits) field(path, name string, f *study.Field) {
	added := Additive
	if f.Required && f.Severity.Required == study.Reject {
		added = Destructive
	}
	t.thing(path, "field "+name, added, Destructive)
	t.value(path+".label", "label of "+name, f.Label, Additive)
	t.weighed(path+".type", "type of "+name, fieldType(f), f, func(old, new trait) Class {
		a, b := old.of.(*study.Field), new.of.(*study.Field)
		if a.Type == study.Decimal && b.Type == study.Decimal && b.Scale >= a.Scale && b.Precision-b.Scale >= a.Precision-a.Scale {
			return Additive
		}
		return Destructive
	})
	t.weighed(path+".required", "need of "+name, map[bool]string{true: "required", false: "optional"}[f.Required], f, func(_, new trait) Class {
		if b := new.of.(*study.Field); b.Required {
			return stricter(b.Severity.Required)
		}
		return Rejudge
	})
	t.weighed(path+".range", "range of "+name, rangeText(f), f, func(old, new trait) Class {
		if a, b := old.of.(*study.Field), new.of.(*study.Field); narrower(a, b) {
			return stricter(b.Severity.Range)
		}
		return Rejudge
	})
	t.value(path+".pattern", "pattern of "+name, f.Pattern, stricter(f.Severity.Pattern))
	t.value(path+".unit", "unit of "+name, f.Unit, Destructive)
	t.weighed(path+".class", "class of "+name, string(f.Class), f, func(old, new trait) Class {
		if old.of.(*study.Field).Sealed() != new.of.(*study.Field).Sealed() {
			return Destructive
		}
		return NoEffect
	})
	t.value(path+".release", "treatment of "+name+" in releases", treatmentText(f.Release), NoEffect)
	for _, c := range f.Choices {
		t.thing(path+".choices["+c.Code+"]", fmt.Sprintf("choice %s of %s", c.Code, name), Additive, Destructive)
		t.value(path+".choices["+c.Code+"].label", fmt.Sprintf("label of choice %s of %s", c.Code, name), c.Label, Additive)
	}
	t.severity(path+".severity.type", "severity of the type of "+name, f.Severity.Type, study.Reject)
	t.severity(path+".severity.choice", "severity of the choices of "+name, f.Severity.Choice, study.Reject)
	t.severity(path+".severity.required", "severity of missing "+name, f.Severity.Required, study.Flag)
	t.severity(path+".severity.range", "severity of the range of "+name, f.Severity.Range, study.Flag)
	t.severity(path+".severity.pattern", "severity of the pattern of "+name, f.Severity.Pattern, study.Flag)
}

func fieldType(f *study.Field) string {
	if f.Type == study.Decimal || f.Precision != 0 || f.Scale != 0 {
		return fmt.Sprintf("%s(%d,%d)", f.Type, f.Precision, f.Scale)
	}
	return string(f.Type)
}

func rangeText(f *study.Field) string {
	var ends []string
	if f.Min != "" || f.MinOpen {
		ends = append(ends, map[bool]string{true: "more than ", false: "from "}[f.MinOpen]+f.Min)
	}
	if f.Max != "" || f.MaxOpen {
		ends = append(ends, map[bool]string{true: "less than ", false: "to "}[f.MaxOpen]+f.Max)
	}
	return strings.Join(ends, " ")
}

// narrower reports whether a value inside the range of a may lie outside that of b.
func narrower(a, b *study.Field) bool {
	return tighter(a.Min, b.Min, a.MinOpen, b.MinOpen, 1) || tighter(a.Max, b.Max, a.MaxOpen, b.MaxOpen, -1)
}

// tighter compares one end of two ranges; inward is the sign of a step into the range.
func tighter(old, end string, wasOpen, isOpen bool, inward int) bool {
	switch {
	case end == "":
		return false
	case old == "":
		return true
	}
	order := strings.Compare(end, old)
	if isNumber(old) && isNumber(end) {
		a, _ := new(big.Rat).SetString(old)
		b, _ := new(big.Rat).SetString(end)
		order = b.Cmp(a)
	}
	return order == inward || order == 0 && isOpen && !wasOpen
}
