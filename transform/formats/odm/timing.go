package odm

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
)

// findTimes gives the visits their windows: of the timing constraints of ODM 2.0,
// or of REDCap's offsets. A duration in months is not so many days, and no window.
func (m *model) findTimes() {
	m.redcapOffsets()
	transitions := map[string]*node{}
	for _, flow := range m.metadata.all("WorkflowDef") {
		for _, t := range flow.all("Transition") {
			transitions[t.at("OID")] = t
		}
	}
	for _, timing := range m.metadata.below("Protocol", "StudyTimings").all("StudyTiming") {
		for _, c := range timing.kids {
			name := label(c)
			switch c.name {
			case "RelativeTimingConstraint":
				if kind := cmp.Or(c.at("Type"), "StartToStart"); kind != "StartToStart" {
					m.note("the timing %q is %s: its window counts from the day of the earlier visit", name, kind)
				}
				m.time(c, c.at("PredecessorOID"), c.at("SuccessorOID"), c.at("TimepointRelativeTarget"))
			case "TransitionTimingConstraint":
				t := transitions[c.at("TransitionOID")]
				if t == nil {
					m.note("the timing %q is of a transition that is not defined", name)
					continue
				}
				m.time(c, t.at("SourceOID"), t.at("TargetOID"), c.at("TimepointTarget"))
			case "AbsoluteTimingConstraint":
				m.note("the timing %q names a date, and a window counts from a visit", name)
			case "DurationTimingConstraint":
				m.note("the timing %q is of how long something takes, and no window", name)
			}
		}
	}
}

// time gives a visit its window after another.
func (m *model) time(c *node, from, to, target string) {
	name := label(c)
	earlier, later := m.visit(from), m.visit(to)
	switch {
	case earlier < 0 || later < 0:
		m.note("the timing %q is between what are not both visits", name)
		return
	case earlier >= later:
		m.note("the timing %q counts from a visit that comes later in the protocol", name)
		return
	case m.visits[later].timed:
		m.note("the timing %q is a second one of visit %s", name, m.visits[later].name)
		return
	}
	day, ok := days(target)
	before, okBefore := days(cmp.Or(c.at("TimepointPreWindow"), "P0D"))
	after, okAfter := days(cmp.Or(c.at("TimepointPostWindow"), "P0D"))
	if !ok || !okBefore || !okAfter {
		m.note("the timing %q is not in whole days or weeks: write day and window of visit %s", name, m.visits[later].name)
		return
	}
	if c.at("TimepointPreWindow") == "" || c.at("TimepointPostWindow") == "" {
		m.note("the timing %q leaves an end of its window open, which is written as 0 days", name)
	}
	v := &m.visits[later]
	v.timed, v.day, v.before, v.after, v.anchor = true, day, before, after, m.visits[earlier].name
}

// redcapOffsets are the days that a REDCap project with scheduling gives its events,
// counted from the first of each arm.
func (m *model) redcapOffsets() {
	if m.about.below("GlobalVariables", "SchedulingEnabled").text != "1" {
		return
	}
	first := map[string]int{}
	for i := range m.visits {
		v := &m.visits[i]
		day, err := strconv.Atoi(v.def.at("DayOffset"))
		before, errBefore := strconv.Atoi(v.def.at("OffsetMin"))
		after, errAfter := strconv.Atoi(v.def.at("OffsetMax"))
		if err != nil || errBefore != nil || errAfter != nil {
			continue
		}
		start, known := first[v.def.at("ArmNum")]
		if !known {
			first[v.def.at("ArmNum")] = i
			continue
		}
		zero, _ := strconv.Atoi(m.visits[start].def.at("DayOffset"))
		v.timed, v.day, v.before, v.after, v.anchor = true, day-zero, max(before, -before), max(after, -after), m.visits[start].name
	}
}

func (m *model) visit(oid string) int {
	return slices.IndexFunc(m.visits, func(v visitModel) bool { return v.def.at("OID") == oid })
}

var duration = regexp.MustCompile(`^(-?)P(?:(\d{1,4})W|(\d{1,5})D)$`)

// days is a duration of ISO 8601 in whole days; not ok is one in months, years or hours.
func days(text string) (n int, ok bool) {
	part := duration.FindStringSubmatch(text)
	if part == nil {
		return 0, false
	}
	n, _ = strconv.Atoi(cmp.Or(part[2], part[3]))
	if part[2] != "" {
		n *= 7
	}
	if part[1] != "" {
		n = -n
	}
	return n, true
}
