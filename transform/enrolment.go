package transform

import (
	"slices"
	"strings"

	"longitude/study"
)

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
	told := tellings(p)
	j.site, j.withdrawn, j.status = -1, -1, -1
	for i := range j.news {
		if n := &j.news[i]; !n.Removed && j.out.Blocked[i] == "" {
			j.hear(&told, i)
		}
	}
	if packed := told.Pack(); packed != p.Told {
		p.Told = packed
	}
	p.Site, p.Status = told.Site.Value, study.ParticipantStatus(told.Status.Value)
	p.StatusOn, p.Withdrawn = since(&told), left(&told)
	j.remember()
}

// tellings are what is known of p, and when it was told. Of one stored before that
// was kept the day of the status withdrawn is no other withdrawal.
func tellings(p *study.Participant) study.Tellings {
	if p.Told != "" {
		return study.UnpackTellings(p.Told)
	}
	t := study.Tellings{Site: study.Telling{Value: p.Site}, Withdrawn: study.Telling{Value: p.Withdrawn.String()}, Status: study.Telling{Value: string(p.Status)}}
	if p.Status != "" && p.StatusOn.Known() {
		t.Since.Value = string(p.Status) + " " + p.StatusOn.String()
	}
	if p.Status == study.Withdrew && p.Withdrawn == p.StatusOn {
		t.Withdrawn, t.Withdrew = t.Withdrew, t.Withdrawn
	}
	return t
}

// hear notes what a new row says of the participant, each fact unless a later row
// has told it. An older version of a record is heard, for where the newer one is
// silent. Silence takes nothing back.
func (j *judging) hear(told *study.Tellings, row int) {
	n := &j.news[row]
	if n.Site == "" && n.Status == "" && !n.Withdrawn.Known() {
		return
	}
	at := j.desk.told[row]
	if n.Site != "" && told.Site.Hear(n.Site, at) {
		j.site = row
	}
	if n.Withdrawn.Known() && told.Withdrawn.Hear(n.Withdrawn.String(), at) {
		j.withdrawn = row
	}
	if n.Status != "" {
		j.hearStatus(told, row, at)
	}
}

func (j *judging) hearStatus(told *study.Tellings, row int, at study.Told) {
	n := &j.news[row]
	heard := told.Status.Hear(string(n.Status), at)
	if n.StatusOn.Known() {
		heard = told.Since.Hear(string(n.Status)+" "+n.StatusOn.String(), at) || heard
	}
	if heard {
		j.status = row
	}
	switch n.Status {
	case study.Withdrew:
		if n.StatusOn.Known() && told.Withdrew.Hear(n.StatusOn.String(), at) {
			j.status = row
		}
	case study.Enrolled:
		if again := j.prior.Participant.Status == study.Enrolled && j.repeated(row); !again && at.Replaces(told.Enrolled.Told) {
			told.Enrolled, j.status = study.Telling{Value: string(n.Status), Told: at}, row
		}
	}
}

// since is the day that the participant's status began, as the last row told that
// knew it; unless it was enrolled again in between.
func since(told *study.Tellings) study.Date {
	status, day, _ := strings.Cut(told.Since.Value, " ")
	if status == "" || status != told.Status.Value || status != string(study.Enrolled) && takesBack(told, &told.Since) {
		return study.NoDate
	}
	on, _ := study.ParseDate(day) // we wrote it
	return on
}

// left is the day of withdrawal from follow-up: that told as such, or that of the
// status withdrawn, whichever is earlier.
func left(told *study.Tellings) study.Date {
	day := study.NoDate
	for _, t := range [...]*study.Telling{&told.Withdrawn, &told.Withdrew} {
		if t.Value != "" && !takesBack(told, t) {
			on, _ := study.ParseDate(t.Value)
			day = earlier(day, on)
		}
	}
	return day
}

// takesBack reports whether a row said enrolled after t was told.
func takesBack(told *study.Tellings, t *study.Telling) bool {
	return told.Enrolled.Value != "" && told.Enrolled.After(t.Told)
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

// consented is the participant's first consent: of those that the current records
// of the consent form give. What was stored before they were kept one by one says
// it as long as a record of then is there.
func (j *judging) consented(facts []study.KnownFact) study.Date {
	first, older := study.NoDate, false
	for i := range j.records {
		f := &j.records[i]
		if int(f.form) != j.consent {
			continue
		}
		at, known := slices.BinarySearchFunc(facts, study.KnownFact{Name: study.ConsentFact, From: f.key()}, study.CompareFacts)
		if !known {
			older = true
			continue
		}
		if on, ok := study.ParseDate(facts[at].Value); ok {
			first = earlier(first, on)
		}
	}
	if older {
		first = earlier(first, j.prior.Participant.Consented)
	}
	return first
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
