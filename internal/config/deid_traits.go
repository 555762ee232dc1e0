package config

import (
	"fmt"
	"strconv"
	"strings"

	"longitude/study"
)

// deidentification describes what shapes releases. None of it touches accepted
// data but the mode of the pseudonyms, under which participants have their codes.
func (t *traits) deidentification(p *study.DeidPolicy) {
	yes := map[bool]string{true: "yes", false: "no"}
	days := func(n int) string { return strconv.Itoa(n) + " days" }
	t.value("deidentification.pseudonym", "pseudonyms", p.Pseudonym, Destructive)
	for _, v := range []struct{ key, subject, value string }{
		{"profile", "profile of releases", p.Profile},
		{"dates", "dates in releases", p.Dates},
		{"whole_weeks", "shifts by whole weeks", yes[p.WholeWeeks]},
		{"truncate", "truncation of the ends of the data in releases", yes[p.Truncate]},
		{"missed_lag", "delay of missed visits in releases", days(p.MissedLagDays)},
		{"min_release_interval", "least time between releases", days(p.MinReleaseInterval)},
		{"min_site", "participants of the smallest site that is released by itself", strconv.Itoa(p.MinSite)},
		{"risk", "risk gate", riskText(&p.Risk)},
		{"expert_determination", "digest of the expert determination", p.Expert.SHA256},
		{"expert_determination.document", "file of the expert determination", p.Expert.Document},
		{"expert_determination.expert", "expert of the determination", p.Expert.Expert},
		{"expert_determination.date", "day of the expert determination", p.Expert.Date.String()},
		{"expert_determination.expires", "last day of the expert determination", p.Expert.Expires.String()},
	} {
		t.value(deidKey+v.key, v.subject, v.value, NoEffect)
	}
	for _, h := range p.Hierarchies {
		t.value(deidKey+"hierarchies."+h.Name, "hierarchy "+h.Name, hierarchyText(h), NoEffect)
	}
}

func riskText(p *study.RiskPolicy) string {
	if p.OnFailure == "" {
		return ""
	}
	return fmt.Sprintf("k %d, l %d, risk %g, suppressed at most %g, quasi %s, sensitive %s, on failure %s",
		p.K, p.L, p.MaxRisk, p.SuppressMax, sorted(p.Quasi), sorted(p.Sensitive), p.OnFailure)
}

func hierarchyText(h study.Hierarchy) string {
	levels := make([]string, len(h.Levels))
	for i, l := range h.Levels {
		var words []string
		if l.Keep {
			words = append(words, "keep")
		}
		if l.Band != 0 {
			words = append(words, "bands of "+strconv.Itoa(l.Band))
		}
		for _, group := range l.Groups {
			words = append(words, "group "+group.Name+" ("+strings.Join(group.Codes, ", ")+")")
		}
		if l.Drop {
			words = append(words, "drop")
		}
		levels[i] = strings.Join(words, ", ")
	}
	return strings.Join(levels, "; ")
}

func treatmentText(t study.Treatment) string {
	return strings.Join(strings.Fields(strings.Join([]string{string(t.Action), t.Step, t.Low, t.High, t.Hierarchy}, " ")), " ")
}
