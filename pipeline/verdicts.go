package pipeline

import (
	"cmp"
	"slices"

	"longitude/study"
	"longitude/transform"
)

// judge is what the rules say of a history and new records, together with what
// the pipeline found before and the rules cannot know: findings of checks across
// forms, and participants that may be one person under two identifiers. These
// stand until what found them says otherwise, or a person explains them.
func judge(r *transform.Rules, h *study.History, news []study.Record, asOf study.Date) study.Judgement {
	if !slices.ContainsFunc(h.Deviations, found) {
		return r.Judge(*h, news, asOf)
	}
	theirs := *h
	theirs.Deviations = slices.DeleteFunc(slices.Clone(h.Deviations), found)
	v := r.Judge(theirs, news, asOf)
	for _, d := range h.Deviations {
		if !found(d) || d.State == study.Resolved {
			continue
		}
		d.State = stateOf(h, d)
		switch {
		case d.DeviationKey != renamed:
		case d.Evidence == vanishedEvidence && len(news) > 0: // back
			d.State = study.Resolved
		case d.Evidence == freshEvidence && d.State == study.Open:
			holdAll(h, news, &v)
		}
		v.Deviations = append(v.Deviations, d)
	}
	slices.SortFunc(v.Deviations, compareDeviations)
	return v
}

// found reports whether a deviation is the pipeline's.
func found(d study.Deviation) bool { return d.Kind == study.IsFinding || d.DeviationKey == renamed }

// stateOf is explained where a person gave a reason for this very evidence.
func stateOf(h *study.History, d study.Deviation) study.DeviationState {
	if slices.Contains(h.Explained, study.Explanation{DeviationKey: d.DeviationKey, Evidence: d.Evidence}) {
		return study.Explained
	}
	return study.Open
}

func compareDeviations(a, b study.Deviation) int {
	return cmp.Or(cmp.Compare(a.VisitNo, b.VisitNo), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Detail, b.Detail))
}

// find puts the findings of checks across forms into a verdict: those that hold
// now, and as resolved those that hold no more.
func find(checks Checks, h *study.History, v *study.Judgement, records []study.CurrentRecord) {
	v.Deviations = slices.DeleteFunc(v.Deviations, func(d study.Deviation) bool { return d.Kind == study.IsFinding })
	now := map[study.DeviationKey]bool{}
	if checks != nil {
		checks.Check(v.Visits, records, func(d study.Deviation) {
			d.State = stateOf(h, d)
			now[d.DeviationKey] = true
			v.Deviations = append(v.Deviations, d)
		})
	}
	for _, d := range h.Deviations {
		if d.Kind == study.IsFinding && d.State != study.Resolved && !now[d.DeviationKey] {
			d.State = study.Resolved
			v.Deviations = append(v.Deviations, d)
		}
	}
	slices.SortFunc(v.Deviations, compareDeviations)
}
