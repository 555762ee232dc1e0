package config

import (
	"fmt"
	"slices"
	"strings"

	"longitude/study"
)

// anchors checks what the windows of version k count from: visits of that version,
// or dates that a form records.
func (d *document) anchors(k int, all []slot, doc *studyDoc, s *study.Study) {
	visits := d.versions[k]
	baseline := ""
	if i := s.Baseline(); i >= 0 {
		baseline = s.Visits[i].Name
	}
	for _, v := range visits {
		at, anchor := v.at("anchor"), v.Anchor
		switch i := slotIndex(visits, anchor); {
		case anchor == "" && !v.HasWindow, anchor != "" && d.failed(at):
		case anchor == "" && slotIndex(visits, baseline) >= 0:
		case anchor == "" && baseline != "" && d.retired(doc, k, baseline, v.Name):
		case anchor == "":
			d.errorf(v.at("window"), "config.window", "name a visit baseline, or say anchor", "nothing says what the window of %q counts from", v.Name)
		case strings.Contains(anchor, "."):
			d.fact(at, anchor, study.EventFact, s)
		case i >= 0 && visits[i].Repeats:
			d.errorf(at, "config.anchor", "count from a visit that happens once, or from a date field: form.field", "%s counts from %s, of which there may be many", v.Name, anchor)
		case i < 0 && (slotIndex(all, anchor) < 0 || !d.retired(doc, k, anchor, v.Name)):
			d.errorf(at, "config.unknown_reference", anchorHint(anchor, slotNames(visits)), "there is no visit %q", anchor)
		}
	}
	d.cycles(visits, baseline)
}

func anchorHint(anchor string, visits []string) string {
	if best := nearest(anchor, visits); best != "" {
		return didYouMean(anchor, visits)
	}
	return "name a visit, or a date field: form.field"
}

// retired reports an anchor that an amendment up to version k retired while
// another visit still counts from it; it says whether one did.
func (d *document) retired(doc *studyDoc, k int, anchor, visit string) bool {
	for i := k - 1; i >= 0; i-- {
		if j := slices.Index(doc.Amendments[i].Retired, anchor); j >= 0 {
			if at := fmt.Sprintf("amendments[%d].retired[%d]", i, j); !d.failed(at) { // one visit that counts from it says enough
				d.errorf(at, "config.anchor", "give "+visit+" another anchor in the same amendment, or keep "+anchor,
					"%s is retired, and %s still counts from it", anchor, visit)
			}
			return true
		}
	}
	return false
}

// cycles reports visits that count from each other, so that none is ever due.
func (d *document) cycles(visits []slot, baseline string) {
	from := func(i int) int {
		v := &visits[i]
		if v.Anchor != "" {
			return slotIndex(visits, v.Anchor)
		}
		if v.NoTarget || v.Name == baseline {
			return -1
		}
		return slotIndex(visits, baseline)
	}
	reported := map[string]bool{}
	for i := range visits {
		way := []string{visits[i].Name}
		j := from(i)
		for ; j >= 0 && j != i && len(way) <= len(visits); j = from(j) {
			way = append(way, visits[j].Name)
		}
		if j != i || reported[visits[i].Name] {
			continue
		}
		for _, name := range way {
			reported[name] = true
		}
		if at := visits[i].at("anchor"); !d.failed(at) {
			d.errorf(at, "config.anchor", "let one of them count from something else", "nothing is ever due: %s", strings.Join(append(way, visits[i].Name), " counts from "))
		}
	}
}

// overlaps warns of windows among which placement by date has a choice, once for
// each two visits. source places the study's visits by date.
func (d *document) overlaps(s *study.Study, source string) {
	warned := map[[2]string]bool{}
	for k, visits := range d.versions {
		in := ""
		if k > 0 {
			in = fmt.Sprintf(" in version %q of the protocol", s.Versions[k].Version)
		}
		for i := range visits {
			for j := i + 1; j < len(visits); j++ {
				a, b := &visits[i], &visits[j]
				first, last := shared(&a.VisitType, &b.VisitType, s)
				if pair := [2]string{a.Name, b.Name}; first <= last && !warned[pair] {
					warned[pair] = true
					d.warnf(b.at("window"), "config.window", tie(&a.VisitType, &b.VisitType, first, last, s),
						"source %s places visits by date, and the windows of %s and %s share %s%s", source, a.Name, b.Name, days(first, last, s), in)
				}
			}
		}
	}
}

// shared is the first and last day, elapsed from their anchor, that lie in the
// windows of both visits; first > last where none does.
func shared(a, b *study.VisitType, s *study.Study) (first, last int) {
	if !a.HasWindow || !b.HasWindow || or(a.Anchor, "baseline") != or(b.Anchor, "baseline") {
		return 1, 0
	}
	return max(due(a, s)-a.Before, due(b, s)-b.Before), min(due(a, s)+a.After, due(b, s)+b.After)
}

// tie says what becomes of a visit in the shared days.
func tie(a, b *study.VisitType, first, last int, s *study.Study) string {
	sum := due(a, s) + due(b, s)
	if middle := sum / 2; sum%2 == 0 && middle >= first && middle <= last {
		return fmt.Sprintf("a visit there goes to the nearer target; on %s both are equally near, and it stays unscheduled with a finding", days(middle, middle, s))
	}
	return "a visit there goes to the nearer target"
}

// days writes elapsed days as the study counts them.
func days(first, last int, s *study.Study) string {
	count := func(day int) int {
		if s.Days == study.CDISC && day >= 0 {
			return day + 1
		}
		return day
	}
	if first == last {
		return fmt.Sprintf("day %d", count(first))
	}
	return fmt.Sprintf("days %d to %d", count(first), count(last))
}
