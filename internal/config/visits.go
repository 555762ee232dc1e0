package config

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"

	"longitude/study"
)

// slot is a visit type of one version of the protocol and where it was written.
type slot struct {
	study.VisitType
	path string            // of the entry that last said something of it
	keys map[string]string // path of each of its keys, where it was last written
}

// at is the path of one of the visit's keys.
func (v *slot) at(key string) string { return or(v.keys[key], v.path+"."+key) }

// slotIndex finds a visit of a list by name; -1 where there is none.
func slotIndex(list []slot, name string) int {
	return slices.IndexFunc(list, func(v slot) bool { return v.Name == name })
}

func slotNames(list []slot) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	return names
}

// visit adds to v what the entry at path says. An amendment's entry says only what
// changes, so every key that is not written leaves v as it is.
func (d *document) visit(path string, doc visitDoc, n int, v slot, s *study.Study) slot {
	v.path, v.keys = path, maps.Clone(v.keys)
	if v.keys == nil {
		v.keys = map[string]string{}
	}
	wrote := func(key string) bool {
		if !d.has(path + "." + key) {
			return false
		}
		v.keys[key] = path + "." + key
		return true
	}
	if wrote("label") {
		if v.Label = doc.Label; doc.Times != nil {
			v.Label += " " + strconv.Itoa(n+1)
		}
	}
	if wrote("number") && doc.Times == nil {
		v.Number = doc.Number
	}
	if wrote("aliases") && doc.Times == nil {
		v.Aliases = doc.Aliases
	}
	if wrote("days") {
		v.Days = study.DayConvention(d.oneOf(path+".days", doc.Days, "elapsed", "cdisc"))
	}
	if wrote("anchor") {
		v.Anchor = doc.Anchor
	}
	if wrote("required") && doc.Required != nil {
		v.Required = *doc.Required
	}
	if wrote("repeats") && doc.Repeats != nil {
		v.Repeats = *doc.Repeats
	}
	if wrote("forms") {
		v.Forms = d.visitForms(path, doc.Forms, s)
	}
	d.target(doc, n, &v, wrote, s.Days)
	return v
}

func (d *document) visitForms(path string, forms visitFormsDoc, s *study.Study) (out []study.VisitForm) {
	for _, f := range forms {
		d.defined(path+".forms."+f.Key, "form", f.Key, formNames(s))
		out = append(out, study.VisitForm{Form: f.Key, Critical: f.Value == "critical", Optional: f.Value == "optional"})
	}
	return out
}

// target reads day, window and max_days. The window is written in days relative to
// the target, [-7, 14], and kept as distances.
func (d *document) target(doc visitDoc, n int, v *slot, wrote func(key string) bool, days study.DayConvention) {
	if wrote("day") && doc.Day != nil {
		v.Day, v.NoTarget = *doc.Day, false
		if doc.Every != nil {
			v.Day += n * *doc.Every
		}
		d.reckonable(v.at("day"), v.Day)
	}
	if v.Days != "" {
		days = v.Days
	}
	if days == study.CDISC && !v.NoTarget && v.Day == 0 && !d.failed(v.at("day")) {
		d.errorf(v.at("day"), "config.window", "the baseline is day 1; or say days: elapsed", "day 0 does not exist where baseline is day 1")
	}
	if wrote("window") && !d.failed(v.at("window")) {
		d.window(v.at("window"), doc.Window, &v.VisitType)
	}
	if wrote("max_days") && doc.MaxDays != nil {
		if v.MaxDays = *doc.MaxDays; v.MaxDays < 1 && !d.failed(v.at("max_days")) {
			d.errorf(v.at("max_days"), "config.window", "leave it out: a visit is then placed by date only inside its window", "max_days is at least 1")
		}
		d.reckonable(v.at("max_days"), v.MaxDays)
	}
	if v.MaxDays > 0 && !v.HasWindow && !d.failed(v.at("max_days")) && !d.failed(v.at("window")) {
		d.errorf(v.at("max_days"), "config.window", "add day and window", "max_days goes beyond a window, and %q has none", v.Name)
	}
	if v.Repeats && !v.NoTarget && !d.failed(v.at("repeats")) {
		d.errorf(v.at("repeats"), "config.window", "leave day and window out; for visits at fixed intervals write every and times instead", "any number of visits may be %q, so it has no target day", v.Name)
	}
}

func (d *document) window(path string, w []int, v *study.VisitType) {
	switch {
	case len(w) != 2:
		d.errorf(path, "config.window", "write [-7, 14]: from 7 days before the target to 14 days after", "a window has two ends")
	case v.NoTarget:
		d.errorf(path, "config.window", "add day, or leave the window out", "visit %q has a window but no target day", v.Name)
	case w[0] > 0:
		d.errorf(path+"[0]", "config.window", fmt.Sprintf("%d days before the target is written [-%d, %d]", w[0], w[0], w[1]), "the window of %q begins after its target", v.Name)
	case w[1] < 0:
		d.errorf(path+"[1]", "config.window", fmt.Sprintf("%d days after the target is written [%d, %d]", -w[1], w[0], -w[1]), "the window of %q ends before its target", v.Name)
	default:
		d.reckonable(path+"[0]", w[0])
		d.reckonable(path+"[1]", w[1])
		v.Before, v.After, v.HasWindow = -w[0], w[1], true
	}
}

// maxSeries bounds the visits that one entry may stand for.
const maxSeries = 400

// series lists the names that an entry stands for: its own, or with every and
// times name_1, name_2 and so on, each every days after the one before.
func (d *document) series(path string, doc visitDoc) []string {
	if doc.Every == nil && doc.Times == nil {
		return []string{doc.Name}
	}
	if doc.Every == nil || doc.Times == nil {
		d.errorf(path+".name", "config.missing_key", "{name: injection, day: 28, every: 28, times: 12}", "a series of visits needs both every and times")
		return []string{doc.Name}
	}
	if every, times := d.between(path+".every", *doc.Every), d.between(path+".times", *doc.Times); !every || !times {
		return []string{doc.Name}
	}
	if doc.Day == nil {
		d.errorf(path+".name", "config.missing_key", "day is the target of the first visit of the series", "a series of visits needs a day")
	}
	for _, key := range []string{"number", "aliases"} {
		if d.has(path + "." + key) {
			d.errorf(path+"."+key, "config.alias_overlap", "translate the source's words under map.visit.aliases, or write the visits one by one", "the visits of a series cannot share %s", key)
		}
	}
	names := make([]string, *doc.Times)
	for i := range names {
		names[i] = doc.Name + "_" + strconv.Itoa(i+1)
	}
	return names
}

// between reports a number of a series that is out of bounds; it says whether it is inside.
func (d *document) between(path string, n int) bool {
	inside := n >= 1 && n <= maxSeries
	if !inside && !d.failed(path) {
		d.errorf(path, "config.wrong_type", "", "%s is between 1 and %d", lastKey(path), maxSeries)
	}
	return inside
}

// distinct reports names, aliases and numbers that mean more than one visit.
func (d *document) distinct(visits []slot) {
	words, numbers := map[string]string{}, map[string]string{}
	claim := func(taken map[string]string, path, key, word, visit, code string) {
		if other, ok := taken[key]; ok && other == visit {
			d.errorf(path, code, "", "%q stands for two visits", word)
		} else if ok {
			d.errorf(path, code, "", "%q means both %s and %s", word, other, visit)
		}
		taken[key] = visit
	}
	for _, v := range visits {
		if v.Name != "" {
			claim(words, v.path+".name", v.Name, v.Name, v.Name, "config.duplicate_name")
		}
	}
	for _, v := range visits {
		for j, alias := range v.Aliases {
			if alias != v.Name {
				claim(words, fmt.Sprintf("%s[%d]", v.at("aliases"), j), alias, alias, v.Name, "config.alias_overlap")
			}
		}
		if v.Number != "" {
			key := v.Number
			if isNumber(key) {
				n, _ := new(big.Rat).SetString(key)
				key = n.RatString() // 3 and 3.0 are the same number
			}
			claim(numbers, v.at("number"), key, v.Number, v.Name, "config.duplicate_name")
		}
	}
}
