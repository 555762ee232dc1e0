package config

import (
	"fmt"
	"maps"
	"slices"

	"longitude/study"
)

// protocol reads the visits as first written and what each amendment changes of
// them. A version holds its visits whole, so that a verdict needs one version only.
func (d *document) protocol(doc *studyDoc, s *study.Study) {
	var visits []slot
	for i, v := range doc.Visits {
		path := fmt.Sprintf("visits[%d]", i)
		d.need(path+".name", v.Name)
		for n, name := range d.series(path, v) {
			d.named(path+".name", "visit", name, identifier)
			fresh := slot{VisitType: study.VisitType{Name: name, NoTarget: true, Required: true}}
			visits = append(visits, d.visit(path, v, n, fresh, s))
		}
	}
	d.distinct(visits)
	s.Versions = []study.ProtocolVersion{{Version: doc.Protocol.Version, Effective: study.NoDate}}
	d.versions = [][]slot{visits}
	all := slices.Clone(visits) // of every version, in protocol order
	if len(doc.Amendments) > 0 {
		d.need("protocol.version", doc.Protocol.Version)
	}
	for i, a := range doc.Amendments {
		path := fmt.Sprintf("amendments[%d]", i)
		s.Versions = append(s.Versions, d.amendment(path, a, s.Versions))
		visits, all = d.amended(path, a, visits, all, s)
		d.versions = append(d.versions, visits)
	}
	for k, version := range d.versions {
		s.Versions[k].Visits = parallel(version, all)
	}
	for _, v := range all {
		s.Visits = append(s.Visits, v.VisitType)
	}
	s.Protocol.Version = s.Versions[len(s.Versions)-1].Version
	if len(doc.Amendments) > 0 {
		d.distinct(all)
	}
	for k := range d.versions {
		d.anchors(k, all, doc, s)
	}
}

// parallel lists the visits of one version beside those of all versions.
func parallel(version, all []slot) []study.VisitType {
	list := make([]study.VisitType, len(all))
	for i, v := range all {
		if k := slotIndex(version, v.Name); k >= 0 {
			list[i] = version[k].VisitType
			continue
		}
		list[i] = v.VisitType
		list[i].Absent = true
	}
	return list
}

// amendment reads from when a version is in force, beside those before it.
func (d *document) amendment(path string, doc amendmentDoc, before []study.ProtocolVersion) study.ProtocolVersion {
	v := study.ProtocolVersion{Version: doc.Version, Effective: study.NoDate}
	if d.need(path+".version", doc.Version) && slices.ContainsFunc(before, func(o study.ProtocolVersion) bool { return o.Version == doc.Version }) {
		d.errorf(path+".version", "config.duplicate_name", "each amendment is a version of its own", "there are two versions %q of the protocol", doc.Version)
	}
	if d.need(path+".effective", doc.Effective) {
		v.Effective = d.day(path+".effective", doc.Effective)
	}
	last := before[len(before)-1]
	if v.Effective.Known() && last.Effective.Known() && v.Effective <= last.Effective {
		d.errorf(path+".effective", "config.amendment", "write amendments in the order in which they take effect", "version %q takes effect on %s, and version %q before it on %s", doc.Version, v.Effective, last.Version, last.Effective)
	}
	for _, site := range slices.Sorted(maps.Keys(doc.Sites)) {
		at := path + ".sites." + site
		d.named(at, "site", site, siteCode)
		if v.Sites == nil {
			v.Sites = map[string]study.Date{}
		}
		if v.Sites[site] = study.NoDate; doc.Sites[site] == "never" {
			continue
		}
		v.Sites[site] = d.day(at, doc.Sites[site])
		earlier, told := last.Sites[site]
		if !told {
			earlier = last.Effective
		}
		if v.Sites[site].Known() && earlier.Known() && v.Sites[site] < earlier {
			d.errorf(at, "config.amendment", "a site adopts versions in their order, or one of them never", "%s adopts version %q before version %q", site, doc.Version, last.Version)
		}
	}
	return v
}

// day reads a date of the protocol.
func (d *document) day(path, text string) study.Date {
	day, ok := study.ParseDate(text)
	if !ok && !d.failed(path) {
		d.errorf(path, "config.wrong_type", "", "%s must be a date written YYYY-MM-DD", lastKey(path))
	}
	return day
}

// amended applies an amendment to the visits of the version before it. all holds
// every visit of every version.
func (d *document) amended(path string, doc amendmentDoc, visits, all []slot, s *study.Study) (now, union []slot) {
	now, union = slices.Clone(visits), slices.Clone(all)
	for i, name := range doc.Retired {
		if k := slotIndex(now, name); k >= 0 {
			now = slices.Delete(now, k, k+1)
		} else {
			d.defined(fmt.Sprintf("%s.retired[%d]", path, i), "visit", name, slotNames(visits))
		}
	}
	for i, v := range doc.Visits {
		at := fmt.Sprintf("%s.visits[%d]", path, i)
		if !d.need(at+".name", v.Name) {
			continue
		}
		for n, name := range d.series(at, v) {
			changed, ok := d.changed(at, name, v, n, union, s)
			if !ok {
				continue
			}
			if slices.Contains(doc.Retired, name) {
				d.errorf(at+".name", "config.amendment", "keep one of the two", "the amendment both changes and retires %q", name)
			}
			now, union = put(now, changed, s), put(union, changed, s)
		}
	}
	return now, union
}

// changed is a visit as an amendment's entry leaves it. An entry that lists no
// forms cannot be a new visit, so its name must be known.
func (d *document) changed(path, name string, doc visitDoc, n int, union []slot, s *study.Study) (slot, bool) {
	base := slot{VisitType: study.VisitType{Name: name, NoTarget: true, Required: true}}
	if k := slotIndex(union, name); k >= 0 {
		base = union[k]
	} else if len(doc.Forms) == 0 {
		hint := "a new visit lists its forms"
		if near := nearest(name, slotNames(union)); near != "" {
			hint = fmt.Sprintf("did you mean %q? %s", near, hint)
		}
		d.errorf(path+".name", "config.unknown_reference", hint, "there is no visit %q that the amendment could change", name)
		return base, false
	}
	d.named(path+".name", "visit", name, identifier)
	return d.visit(path, doc, n, base, s), true
}

// put replaces the visit of that name, or adds a new one: after the last that
// counts from the same anchor and is due no later; without a target day, last.
func put(list []slot, v slot, s *study.Study) []slot {
	if k := slotIndex(list, v.Name); k >= 0 {
		list[k] = v
		return list
	}
	at := len(list)
	for i := len(list) - 1; i >= 0 && !v.NoTarget; i-- {
		u := &list[i]
		if u.NoTarget || or(u.Anchor, "baseline") != or(v.Anchor, "baseline") {
			continue
		}
		if due(&u.VisitType, s) <= due(&v.VisitType, s) {
			at = i + 1
			break
		}
		at = i
	}
	return slices.Insert(list, at, v)
}

// due is the target day as days elapsed from the anchor.
func due(v *study.VisitType, s *study.Study) int {
	return study.DayConvention(or(string(v.Days), string(s.Days))).Elapsed(v.Day)
}
