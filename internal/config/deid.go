package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"longitude/study"
)

const deidKey = "deidentification."

func (d *document) deidentification(doc deidDoc) study.DeidPolicy {
	p := study.DeidPolicy{
		Profile:            d.oneOfOr(deidKey+"profile", doc.Profile, "limited", "internal", "limited", "expert", "safe_harbor"),
		Pseudonym:          d.oneOfOr(deidKey+"pseudonym", doc.Pseudonym, "derived", "derived", "random"),
		Dates:              d.oneOfOr(deidKey+"dates", doc.Dates, "study_day", "study_day", "shift", "year", "keep"),
		WholeWeeks:         doc.WholeWeeks,
		Truncate:           doc.Truncate,
		MissedLagDays:      30,
		MinReleaseInterval: d.wholeDays(deidKey+"min_release_interval", doc.MinReleaseInterval),
		MinSite:            doc.MinSite,
		Risk:               d.risk(doc.Risk),
		Expert:             d.determination(doc.ExpertDetermination),
	}
	if doc.MissedLag != nil {
		p.MissedLagDays = d.wholeDays(deidKey+"missed_lag", *doc.MissedLag)
	}
	for _, key := range []string{"whole_weeks", "truncate"} {
		if d.has(deidKey+key) && p.Dates != "shift" {
			d.errorf(deidKey+key, "config.unknown_reference", "dates: shift, or leave it out", "%s is about shifted dates, and dates are %s", key, p.Dates)
		}
	}
	if p.MinSite < 0 {
		d.errorf(deidKey+"min_site", "config.wrong_type", "", "min_site cannot be negative")
	}
	for _, h := range doc.Hierarchies {
		p.Hierarchies = append(p.Hierarchies, d.hierarchy(deidKey+"hierarchies."+h.Key, h))
	}
	if p.Profile == "expert" && p.Expert.SHA256 == "" {
		d.warnf(deidKey+"profile", "config.claim", "add expert_determination, or use limited", "without an expert determination the claim stops at limited")
	}
	return p
}

// wholeDays is a length of time that is counted in days.
func (d *document) wholeDays(path string, length time.Duration) int {
	const day = 24 * time.Hour
	if length%day != 0 {
		d.errorf(path, "config.duration", "write days, such as 7d", "%s is counted in whole days", lastKey(path))
	}
	d.reckonable(path, int(length/day))
	return int(length / day)
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// determination reads what the study says of the expert's document; whether the
// file is that document is asked by Load.
func (d *document) determination(doc expertDoc) study.Determination {
	const at = deidKey + "expert_determination"
	e := study.Determination{Document: doc.Document, Expert: doc.Expert, Date: study.NoDate, Expires: study.NoDate, SHA256: doc.SHA256}
	if !d.has(at) {
		return e
	}
	d.need(at+".document", doc.Document)
	d.need(at+".expert", doc.Expert)
	d.need(at+".date", doc.Date)
	if d.need(at+".sha256", doc.SHA256) && !sha256Hex.MatchString(doc.SHA256) {
		d.errorf(at+".sha256", "config.wrong_type", "as sha256sum prints it", "sha256 must be 64 hexadecimal digits")
	}
	for key, end := range map[string]struct {
		text string
		date *study.Date
	}{"date": {doc.Date, &e.Date}, "expires": {doc.Expires, &e.Expires}} {
		var ok bool
		if *end.date, ok = study.ParseDate(end.text); end.text != "" && !ok {
			d.errorf(at+"."+key, "config.wrong_type", "", "%s must be a date written YYYY-MM-DD", key)
		}
	}
	if e.Date.Known() && e.Expires.Known() && e.Expires < e.Date {
		d.errorf(at+".expires", "config.wrong_type", "", "the determination expires before it was made")
	}
	return e
}

// verifyDetermination compares the expert's document with its recorded digest. Its
// path starts at the folder of the study document.
func (d *document) verifyDetermination(e study.Determination) {
	const at = deidKey + "expert_determination"
	if e.Document == "" || !sha256Hex.MatchString(e.SHA256) {
		return
	}
	path := e.Document
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(d.file), path)
	}
	content, err := os.ReadFile(path)
	sum := sha256.Sum256(content)
	switch {
	case err != nil:
		d.errorf(at+".document", "config.determination", "its path starts at the folder of this file", "the expert determination cannot be read")
	case hex.EncodeToString(sum[:]) != e.SHA256:
		d.errorf(at+".sha256", "config.determination", "sha256sum of the document that the expert signed", "the document is not the one with this digest")
	}
}

func (d *document) risk(doc riskDoc) study.RiskPolicy {
	const at = deidKey + "risk"
	p := study.RiskPolicy{Quasi: doc.Quasi, Sensitive: doc.Sensitive, MaxRisk: float64(doc.MaxRisk), SuppressMax: float64(doc.SuppressMax)}
	if !d.has(at) {
		return p
	}
	p.OnFailure = d.oneOfOr(at+".on_failure", doc.OnFailure, "block", "block", "warn")
	least := func(key string, written *int, least int) int {
		if written == nil {
			return 0
		}
		if *written < least {
			d.errorf(at+"."+key, "config.wrong_type", "", "%s is at least %d", key, least)
		}
		return *written
	}
	p.K, p.L = least("k", doc.K, 2), least("l", doc.L, 1)
	if p.K == 0 && !d.failed(at+".k") {
		d.errorf(at, "config.missing_key", "k: 5 where an agreement binds the recipient, k: 11 for others", "k is missing in %s", at)
	}
	return p
}

// riskColumns checks the names of the gate that point at fields: others are columns
// of participants, which door 2 knows.
func (d *document) riskColumns(s *study.Study) {
	var fields []string
	for _, form := range s.Forms {
		for _, field := range form.Fields {
			fields = append(fields, form.Name+"."+field.Name)
		}
	}
	for key, names := range map[string][]string{"quasi": s.Deid.Risk.Quasi, "sensitive": s.Deid.Risk.Sensitive} {
		for _, name := range names {
			if strings.Contains(name, ".") {
				d.defined(deidKey+"risk."+key, "field", name, fields)
			}
		}
	}
}

// levelDoc is keep, drop, {band: n} or {groups: {name: [codes]}}.
type levelDoc struct{ Level study.Level }

func (l *levelDoc) decode(d *document, path string, n ast.Node) {
	if text, ok := scalarText(n); ok {
		word := d.oneOf(path, text, "keep", "drop")
		l.Level.Keep, l.Level.Drop = word == "keep", word == "drop"
		return
	}
	var long struct {
		Band   *int            `yaml:"band"`
		Groups pairs[[]string] `yaml:"groups"`
	}
	d.read(path, n, &long)
	switch {
	case d.failed(path):
	case (long.Band == nil) == (len(long.Groups) == 0):
		d.errorf(path, "config.wrong_type", "keep, {band: 5}, {groups: {name: [codes]}} or drop", "a level is one of keep, band, groups and drop")
	case long.Band != nil:
		if l.Level.Band = *long.Band; *long.Band < 2 {
			d.errorf(path+".band", "config.wrong_type", "", "a band is at least 2 wide")
		}
	}
	seen := map[string]bool{}
	for _, g := range long.Groups {
		l.Level.Groups = append(l.Level.Groups, study.Group{Name: g.Key, Codes: g.Value})
		for _, code := range g.Value {
			if seen[code] {
				d.errorf(path+".groups."+g.Key, "config.duplicate_name", "", "code %q is in two groups", code)
			}
			seen[code] = true
		}
	}
}

func (d *document) hierarchy(path string, doc pair[[]levelDoc]) study.Hierarchy {
	h := study.Hierarchy{Name: doc.Key}
	d.named(path, "hierarchy", doc.Key, identifier)
	if len(doc.Value) == 0 && !d.failed(path) {
		d.errorf(path, "config.missing_key", "[keep, {band: 5}, drop]", "hierarchy %q has no level", doc.Key)
	}
	finer := study.Level{}
	for i, level := range doc.Value {
		l, at := level.Level, fmt.Sprintf("%s[%d]", path, i)
		h.Levels = append(h.Levels, l)
		switch {
		case l.Keep && i > 0:
			d.errorf(at, "config.wrong_type", "from finest to coarsest", "keep is the finest level, so it comes first")
		case l.Drop && i < len(doc.Value)-1:
			d.errorf(at, "config.wrong_type", "from finest to coarsest", "drop is the coarsest level, so it comes last")
		case l.Band > 0 && finer.Band > 0 && (l.Band <= finer.Band || l.Band%finer.Band != 0):
			d.errorf(at, "config.wrong_type", "each band is a multiple of the one before, such as 5, 10, 20", "this band parts what a finer one joins")
		case parts(l.Groups, finer.Groups):
			d.errorf(at, "config.wrong_type", "each group holds whole groups of the level before", "a group parts what a finer one joins")
		}
		finer = l
	}
	return h
}

// parts reports whether two codes that share a group of finer are in different
// groups of coarse.
func parts(coarse, finer []study.Group) bool {
	of := map[string]string{}
	for _, g := range coarse {
		for _, code := range g.Codes {
			of[code] = g.Name
		}
	}
	for _, g := range finer {
		for _, code := range g.Codes {
			if len(coarse) > 0 && of[code] != of[g.Codes[0]] {
				return true
			}
		}
	}
	return false
}

// treatmentDoc is a word, {round: n}, {clip: [low, high]} or {generalise: NAME}.
type treatmentDoc struct{ study.Treatment }

func (t *treatmentDoc) decode(d *document, path string, n ast.Node) {
	if text, ok := scalarText(n); ok {
		t.Action = study.Action(d.oneOf(path, text, "drop", "keep", "zip3", "has_text", "digest_only", "reviewed"))
		return
	}
	var long struct {
		Round      string   `yaml:"round"`
		Clip       []string `yaml:"clip"`
		Generalise string   `yaml:"generalise"`
	}
	before := len(d.findings)
	d.into(path, n, reflect.ValueOf(&long).Elem())
	if len(d.findings) > before {
		return
	}
	given := 0
	if long.Round != "" {
		given++
		t.Action, t.Step = study.Round, long.Round
	}
	if long.Clip != nil {
		given++
		t.Action = study.Clip
		if len(long.Clip) != 2 {
			d.errorf(path+".clip", "config.wrong_type", "[0, 150]", "clip has two ends")
			return
		}
		t.Low, t.High = long.Clip[0], long.Clip[1]
	}
	if long.Generalise != "" {
		given++
		t.Action, t.Hierarchy = study.Generalise, long.Generalise
	}
	if given != 1 {
		d.errorf(path, "config.wrong_type", "{round: 5}, {clip: [0, 150]} or {generalise: NAME}", "release is one treatment")
	}
}

// treatment checks that the field's class and type allow how it is released.
func (d *document) treatment(path string, f study.Field, policy *study.DeidPolicy) {
	if f.Type == study.Zip && f.Class != study.Quasi && !f.Class.Sealed() && f.Class != study.Unclassified {
		d.errorf(parent(path)+".class", "config.treatment", "class: quasi, or direct_identifier", "ZIP field %q cannot be %s: it is a place", f.Name, f.Class)
	}
	if f.Release.Action == study.ByClass || d.failed(path) {
		return
	}
	numeric := f.Type == study.Integer || f.Type == study.Decimal
	action := f.Release.Action
	switch {
	case f.Class == study.Unclassified:
	case !f.Class.Allows(action):
		d.errorf(path, "config.treatment", "see the table of classes and treatments", "field %q of class %s cannot be released as %s", f.Name, f.Class, action)
	case (f.Type == study.Zip) != (action == study.Zip3) && action != study.Drop && (f.Type == study.Zip || action == study.Zip3):
		d.errorf(path, "config.treatment", "a field of type zip is released as zip3 or dropped", "%s field %q cannot be released as %s", f.Type, f.Name, action)
	case (action == study.Round || action == study.Clip) && !numeric:
		d.errorf(path, "config.treatment", "", "%s field %q has no number to %s", f.Type, f.Name, action)
	case action == study.Keep && f.Class == study.DateClass && f.Type != study.DateTime && f.Type != study.TimeType:
		d.errorf(path, "config.treatment", "deidentification.dates says how dates leave", "only a datetime or time keeps its time of day, and %q is %s", f.Name, f.Type)
	case action == study.Round:
		if step, ok := new(big.Rat).SetString(f.Release.Step); !ok || !isNumber(f.Release.Step) || step.Sign() <= 0 {
			d.errorf(path+".round", "config.wrong_type", "the multiple that values are rounded to, such as 5 or 0.5", "round is a number above 0")
		}
	case action == study.Clip:
		d.rangeFits(path+".clip", rangeDoc{low: f.Release.Low, high: f.Release.High, written: true}, f)
	case action == study.Generalise:
		d.generalises(path+".generalise", f, policy)
	}
}

// generalises checks that the levels of the field's hierarchy fit its values.
func (d *document) generalises(path string, f study.Field, policy *study.DeidPolicy) {
	var names []string
	for _, h := range policy.Hierarchies {
		names = append(names, h.Name)
	}
	if !d.defined(path, "hierarchy", f.Release.Hierarchy, names) {
		return
	}
	for _, level := range policy.Hierarchy(f.Release.Hierarchy).Levels {
		switch {
		case level.Band > 0 && f.Type != study.Integer && f.Type != study.Decimal:
			d.errorf(path, "config.treatment", "use groups", "%s field %q does not fall in bands", f.Type, f.Name)
		case level.Groups != nil && f.Type != study.Choice:
			d.errorf(path, "config.treatment", "use bands, or make it a choice", "%s field %q has no codes to group", f.Type, f.Name)
		case level.Groups != nil:
			d.grouped(path, f, level)
		}
	}
}

// grouped checks that every code is in a group and every grouped code exists.
func (d *document) grouped(path string, f study.Field, level study.Level) {
	left := codes(f)
	for _, g := range level.Groups {
		for _, code := range g.Codes {
			if d.defined(path, "choice", code, codes(f)) {
				left = slices.DeleteFunc(left, func(c string) bool { return c == code })
			}
		}
	}
	if len(left) > 0 {
		d.errorf(path, "config.treatment", "put every code into a group", "the groups of field %q leave out %s", f.Name, strings.Join(left, ", "))
	}
}
