package transform

import "longitude/study"

// enrol updates what is known of the participant from the current records.
func (j *judging) enrol() {
	p := &j.out.Participant
	*p = j.prior.Participant
	for i := range j.records {
		p.Enrolled = p.Enrolled || j.study.Enrolment.Kind == "first_seen" || int(j.records[i].form) == j.enrolment
	}
	if j.without(j.enrolment) {
		p.Enrolled = false
	}
	if j.site >= 0 {
		if site := j.news[j.site].Site; site != p.Site && (p.Site == "" || !j.stale(j.site)) {
			p.Site = site
		}
	}
	if j.withdrawn >= 0 && (!p.Withdrawn.Known() || !j.stale(j.withdrawn)) {
		p.Withdrawn = j.news[j.withdrawn].Withdrawn
	}
	if j.status >= 0 && (p.Status == "" || !j.stale(j.status)) {
		j.stand()
	}
	switch p.Status {
	case "":
		p.StatusOn = study.NoDate
	case study.Withdrew:
		p.Withdrawn = earlier(p.Withdrawn, p.StatusOn)
	}
	if j.consent >= 0 {
		p.Consented = j.consented()
	}
	j.remember()
}

// stand takes over the participant's status. The day since which it is withdrawn
// is a day of withdrawal, unless an earlier one was told; a correction of that day
// moves it. A row that says enrolled takes back a withdrawal that was told before
// it, unless it only repeats itself.
func (j *judging) stand() {
	p, n := &j.out.Participant, &j.news[j.status]
	told := p.Status == study.Withdrew && p.Withdrawn == p.StatusOn // only by the status
	if n.Status != p.Status || n.StatusOn.Known() {
		p.StatusOn = n.StatusOn
	}
	again := n.Status == p.Status && j.repeated(j.status)
	p.Status = n.Status
	if told && n.Status == study.Withdrew {
		p.Withdrawn = study.NoDate
	}
	if n.Status == study.Enrolled && !again && !n.Withdrawn.Known() && (j.withdrawn < 0 || j.later(j.withdrawn, j.status) == j.status) {
		p.Withdrawn = study.NoDate
	}
}

// repeated reports whether a new row that counts says what is stored of its record.
func (j *judging) repeated(row int) bool {
	f, live := j.filedAt(j.keyOf(row))
	return live && j.repeats(*f)
}

// keyOf is the key of a new record, once its visit is numbered.
func (j *judging) keyOf(row int) study.RecordKey {
	n := &j.news[row]
	return study.RecordKey{Form: n.Form, VisitNo: j.out.VisitNo[row], Occurrence: n.Occurrence}
}

// stale reports whether a new row is older than a stored record of its form: those
// come from the same sources and say the same things of the participant, so it
// does not move them back.
func (j *judging) stale(row int) bool {
	order := j.news[row].Order()
	for i := range j.prior.Versions {
		if v := &j.prior.Versions[i]; v.Key.Form == j.news[row].Form && !v.Late && !v.Removed && !order.Replaces(v.Order()) {
			return true
		}
	}
	return false
}

// without reports whether all records of form, of which there were some, are removed.
func (j *judging) without(form int) bool {
	if form < 0 || len(j.removed) == 0 {
		return false
	}
	for i := range j.records {
		if int(j.records[i].form) == form {
			return false
		}
	}
	for _, r := range j.removed {
		if r.Form == form {
			return true
		}
	}
	return false
}

// hear notes what a row says of the participant, unless it does not say when it was
// modified and no longer counts. An older version of a record is heard, for where
// the newer one is silent. Silence takes nothing back, and a removal says nothing.
func (j *judging) hear(row int32) {
	if row < 0 {
		return
	}
	n := &j.news[row]
	if n.Removed {
		return
	}
	if n.Site != "" {
		j.site = j.later(j.site, int(row))
	}
	if n.Withdrawn.Known() {
		j.withdrawn = j.later(j.withdrawn, int(row))
	}
	if n.Status != "" {
		j.status = j.later(j.status, int(row))
	}
}

// later is which of two new rows counts as the later; -1 is no row. A row that
// does not say when it was modified is as of now.
func (j *judging) later(a, b int) int {
	if a < 0 {
		return b
	}
	x, y := j.news[a].Modified, j.news[b].Modified
	switch {
	case x.IsZero() != y.IsZero():
		if x.IsZero() {
			return a
		}
		return b
	case x.Equal(y):
		return max(a, b)
	case x.After(y):
		return a
	}
	return b
}

// consented is the participant's first consent. A correction of the first
// consent record replaces it; a consent given anew later does not move it.
func (j *judging) consented() study.Date {
	if j.without(j.consent) {
		return study.NoDate
	}
	date, first := j.prior.Participant.Consented, true
	for i := range j.records {
		f := &j.records[i]
		if int(f.form) != j.consent {
			continue
		}
		if f.row >= 0 {
			if first && f.version >= 0 {
				date = study.NoDate
			}
			date = earlier(date, j.news[f.row].Consented)
		}
		first = first && f.version < 0
	}
	return date
}

// end says whether participation has ended, and on which day: that of withdrawal,
// or of a status that ends it, whichever is earlier. It is NoDate where the source
// does not say, and in a relative calendar, whose days do not compare with it.
func (j *judging) end() (on study.Date, over bool) {
	p := &j.out.Participant
	on, over = p.Withdrawn, p.Withdrawn.Known()
	switch p.Status {
	case study.Finished, study.Withdrew, study.Lost, study.Died:
		on, over = earlier(on, p.StatusOn), true
	}
	if j.study.Relative {
		on = study.NoDate
	}
	return on, over
}
