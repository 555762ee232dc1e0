package transform

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

// kindOf tells deviations from violations; "" is a code that others detect.
func kindOf(code string) study.DeviationKind {
	switch code {
	case study.VisitOutOfWindow, study.PlannedOutOfWindow, study.BaselineDateMismatch, study.FormMissing,
		study.LateEntry, study.VisitMissed, study.VisitOrder, study.VisitAmbiguous, study.ChangeWithoutReason:
		return study.IsDeviation
	case study.FormsMissing, study.AfterWithdrawal, study.BaselineMissing, study.ConsentMissing, study.UnknownParticipant,
		study.EditedAfterLock, study.IdentityConflict:
		return study.IsViolation
	}
	return ""
}

// absence reports whether a code says that something is not there. It may still be
// on its way while records arrive.
func absence(code string) bool {
	switch code {
	case study.FormMissing, study.FormsMissing, study.VisitMissed, study.BaselineMissing:
		return true
	}
	return false
}

// aboutTime reports whether the reason that a source gives with a visit explains
// a code: it is a reason why the visit was not on the day the protocol says.
func aboutTime(code string) bool {
	switch code {
	case study.VisitOutOfWindow, study.PlannedOutOfWindow, study.BaselineDateMismatch, study.LateEntry,
		study.VisitMissed, study.VisitOrder:
		return true
	}
	return false
}

// deviate raises every deviation that holds now and holds the records that wait.
// A participant who is not enrolled, or has not consented at all, is not judged
// yet: the records wait, and nothing else is held against the visits.
func (j *judging) deviate() {
	p := &j.out.Participant
	judged := p.Enrolled && (j.consent < 0 || p.Consented.Known())
	records := j.records
	for len(records) > 0 && records[0].visit == 0 {
		n := run(records, func(f *filed) bool { return f.visit == 0 && f.form == records[0].form })
		j.hold(records[:n], nil, j.study.Forms[records[0].form].Name, "")
		records = records[n:]
	}
	for i := range j.out.Visits {
		v := &j.out.Visits[i]
		n := run(records, func(f *filed) bool { return f.visit == v.No })
		waits := ""
		if judged {
			waits = j.judgeVisit(i, records[:n])
		}
		j.hold(records[:n], v, "", waits)
		records = records[n:]
	}
	if judged {
		j.judgeOrder()
	}
	j.judgeChanges()
	j.judgeLocks()
}

// run is the length of the run of records that belong together.
func run(records []filed, same func(*filed) bool) int {
	n := 0
	for n < len(records) && same(&records[n]) {
		n++
	}
	return n
}

// judgeVisit raises the deviations of one visit. It returns the code its records
// wait for by policy, "" when they need not.
func (j *judging) judgeVisit(i int, records []filed) (waits string) {
	v := &j.out.Visits[i]
	j.judgeEntry(v, records)
	if v.Type < 0 {
		if j.tied[i] {
			j.raise(study.VisitAmbiguous, v, "", "actual "+j.on(v.Actual)+" fits no one visit best")
		}
		j.judgeBaseline(v)
		return ""
	}
	switch v.Status {
	case study.Missed:
		j.raise(study.VisitMissed, v, "", "no visit in "+j.span(v.WindowStart, v.WindowEnd))
	case study.Scheduled:
		if t := timing(v.Planned, v.Verdict, j.judged(v).windowed); v.Planned.Known() && misplaced(t) {
			j.raise(study.PlannedOutOfWindow, v, "", j.distance("planned", v.Planned, t, v))
		}
	case study.Completed:
		if misplaced(v.Timing) {
			state := j.raise(study.VisitOutOfWindow, v, "", j.distance("actual", v.Actual, v.Timing, v))
			if state == study.Open && j.study.Deviations.VisitOutOfWindow == policyRequireReason {
				waits = study.VisitOutOfWindow
			}
		}
		j.judgeBaseline(v)
		if d := v.Declared; v.Type == j.baseline && d.Known() && (d.Last() < v.Actual.First() || d.First() > v.Actual.Last()) {
			j.raise(study.BaselineDateMismatch, v, "", "declared "+j.on(d)+", actual "+j.on(v.Actual))
		}
		if j.asOf > v.Actual.Last()+study.Date(j.study.Deviations.FormGraceDays) {
			j.judgeForms(v, records)
		}
	}
	return waits
}

// judgeBaseline raises baseline_missing for a visit that is withheld for want of it.
func (j *judging) judgeBaseline(v *study.Visit) {
	if v.Withheld {
		j.raise(study.BaselineMissing, v, "", "actual "+j.on(v.Actual)+", no "+j.study.Visits[j.baseline].Name)
	}
}

func misplaced(t study.Timing) bool { return t == study.Early || t == study.Late }

// judgeEntry raises late_entry for each record first entered too long after its
// visit. In a relative calendar the two dates do not compare.
func (j *judging) judgeEntry(v *study.Visit, records []filed) {
	if j.study.Relative || !v.Actual.Known() {
		return
	}
	for i := range records {
		f := &records[i]
		if after := int(f.entered) - int(v.Actual.Last()); f.entered.Known() && after > j.study.Deviations.LateEntryDays {
			j.raise(study.LateEntry, v, j.detail(int(f.form), f.occurrence), "entered "+f.entered.String()+", "+days(after)+" after "+j.on(v.Actual))
		}
	}
}

// judgeForms raises form_missing for one absent form of little weight, and
// forms_missing for more, or for a critical one.
func (j *judging) judgeForms(v *study.Visit, records []filed) {
	var missing []string
	critical := false
	forms := j.judged(v).forms
	for i := range forms {
		f := &forms[i]
		before := len(missing)
		missing = f.absent(records, missing)
		critical = critical || f.critical && len(missing) > before
	}
	switch {
	case len(missing) == 0:
	case len(missing) == 1 && !critical:
		j.raise(study.FormMissing, v, missing[0], "no "+missing[0])
	default:
		slices.Sort(missing)
		j.raise(study.FormsMissing, v, "", "no "+strings.Join(missing, ", "))
	}
}

// absent appends what f expects and records lack: the form, or form/occurrence.
func (f *expectedForm) absent(records []filed, missing []string) []string {
	if len(f.occurrences) == 0 {
		for i := range records {
			if int(records[i].form) == f.form {
				return missing
			}
		}
		return append(missing, f.name)
	}
	for _, o := range f.occurrences {
		if !slices.ContainsFunc(records, func(r filed) bool { return int(r.form) == f.form && r.occurrence == o }) {
			missing = append(missing, f.name+"/"+o)
		}
	}
	return missing
}

// judgeOrder raises visit_order where a visit happened before the one that is
// due before it. Comparing neighbours is enough to find every disorder, and one
// wrong date then makes one finding. Where a partial date may be before or after,
// the visit due before that is compared.
func (j *judging) judgeOrder() {
	var room [32]*study.Visit
	visits := room[:0]
	for _, h := range j.holders {
		if h >= 0 && j.out.Visits[h].Due.Known() {
			visits = append(visits, &j.out.Visits[h])
		}
	}
	slices.SortStableFunc(visits, func(a, b *study.Visit) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Actual.First(), b.Actual.First()))
	})
	for i, v := range visits {
		k := i - 1
		for k > 0 && visits[k].Actual.Last() > v.Actual.First() && visits[k].Actual.First() <= v.Actual.Last() {
			k--
		}
		if k < 0 {
			continue
		}
		if u := visits[k]; u.Due < v.Due && v.Actual.Last() < u.Actual.First() {
			j.raise(study.VisitOrder, v, "", j.on(v.Actual)+" before "+j.study.Visits[u.Type].Name+" on "+j.on(u.Actual))
		}
	}
}

// waitCodes are the rules that hold a record, the one named by the hold first: a
// doubt of whose it is waits for a person, the others pass when facts arrive.
var waitCodes = [...]string{study.IdentityConflict, study.UnknownParticipant, study.ConsentMissing, study.AfterWithdrawal}

// hold holds those of records that wait: for a rule, or for the code given. They
// are all of the visit v, or of the log form named detail.
func (j *judging) hold(records []filed, v *study.Visit, detail, code string) {
	var waits [len(waitCodes)]bool
	var since [len(waitCodes)]study.PartialDate
	doubt := ""
	if v != nil && code == "" && len(records) > 0 && !j.mayWait(j.collected(&records[0], v)) {
		return // all of a visit are collected on one day
	}
	for i := range records {
		f, code := &records[i], code
		at := j.collected(f, v)
		for c := len(waitCodes) - 1; c >= 0; c-- {
			if !j.mustWait(waitCodes[c], f, at) {
				continue
			}
			if waitCodes[c] == study.IdentityConflict && doubt == "" {
				doubt = j.conflicts[f.key()]
			}
			code = waitCodes[c]
			if !waits[c] || at.First() < since[c].First() {
				waits[c], since[c] = true, at
			}
		}
		if code != "" {
			j.out.Holds = append(j.out.Holds, study.Hold{Key: f.key(), Code: code})
		}
	}
	for c, code := range waitCodes {
		switch {
		case waits[c] && code == study.IdentityConflict:
			j.raise(code, v, detail, doubt)
		case waits[c]:
			j.raise(code, v, detail, j.whyWait(code, since[c]))
		}
	}
}

// collected is when a record was collected: on its visit; for a log record, when
// it was entered. It is unknown in a relative calendar, whose days do not compare
// with the dates of consent and withdrawal.
func (j *judging) collected(f *filed, v *study.Visit) study.PartialDate {
	switch {
	case j.study.Relative:
		return study.PartialDate{}
	case v == nil:
		return study.ExactDate(f.entered)
	}
	return v.Actual
}

// mustWait reports whether a record, collected at, waits for a rule.
func (j *judging) mustWait(code string, f *filed, at study.PartialDate) bool {
	switch code {
	case study.IdentityConflict:
		return len(j.conflicts) > 0 && j.conflicts[f.key()] != ""
	case study.UnknownParticipant:
		return !j.out.Participant.Enrolled && int(f.form) != j.enrolment
	case study.ConsentMissing:
		return int(f.form) != j.consent && j.beforeConsent(at)
	case study.AfterWithdrawal:
		return j.afterWithdrawal(at)
	}
	return false
}

// mayWait reports whether a record collected at may have to wait for any rule.
func (j *judging) mayWait(at study.PartialDate) bool {
	return len(j.conflicts) > 0 || !j.out.Participant.Enrolled || j.beforeConsent(at) || j.afterWithdrawal(at)
}

func (j *judging) beforeConsent(at study.PartialDate) bool {
	consented := j.out.Participant.Consented
	return j.consent >= 0 && (!consented.Known() || at.Known() && at.Last() < consented)
}

func (j *judging) afterWithdrawal(at study.PartialDate) bool {
	left := j.out.Participant.Withdrawn
	return left.Known() && at.Known() && at.First() > left
}

func (j *judging) whyWait(code string, at study.PartialDate) string {
	p := &j.out.Participant
	switch {
	case code == study.UnknownParticipant:
		return "not enrolled"
	case code == study.AfterWithdrawal:
		return "collected " + j.on(at) + ", withdrawn " + j.out.Participant.Withdrawn.String()
	case !p.Consented.Known():
		return "no consent"
	}
	return "collected " + j.on(at) + ", consent " + p.Consented.String()
}

// raise records that a deviation holds, of v or (nil) of the participant, and
// returns the state it is in. An absence that is not known yet is not raised while
// records arrive, nor ever of one who failed screening: that counts as resolved.
func (j *judging) raise(code string, v *study.Visit, detail, evidence string) study.DeviationState {
	d := study.Deviation{DeviationKey: study.DeviationKey{Code: code, Detail: detail}, Kind: j.kind(code), Evidence: evidence}
	reason := false
	if v != nil {
		d.VisitNo, reason = v.No, v.Reason && aboutTime(code)
	}
	before := study.Resolved
	at, stored := slices.BinarySearchFunc(j.stored, d, compareDeviations)
	if stored {
		before = j.stored[at].State
	}
	absent := absence(code)
	if absent && (j.out.Participant.Status == study.ScreenFailure || before == study.Resolved && len(j.news) > 0) {
		return study.Resolved
	}
	isNew := !stored || absent && before == study.Resolved
	switch { // the source's reason explains what is new or arrived with it; any explanation holds for its evidence only
	case reason && (isNew || slices.Contains(j.stated, d.VisitNo)),
		before == study.Explained && j.stored[at].Evidence == evidence,
		len(j.prior.Explained) > 0 && slices.Contains(j.prior.Explained, study.Explanation{DeviationKey: d.DeviationKey, Evidence: evidence}):
		d.State = study.Explained
	default:
		d.State = study.Open
	}
	if j.out.Deviations == nil {
		j.out.Deviations = make([]study.Deviation, 0, max(4, len(j.stored)))
	}
	j.out.Deviations = append(j.out.Deviations, d)
	return d.State
}

// kind is the kind of a code, which the protocol may move.
func (j *judging) kind(code string) study.DeviationKind {
	if kind, moved := j.study.Deviations.Kinds[code]; moved {
		return kind
	}
	return kindOf(code)
}

// settle resolves the stored deviations whose cause has gone and puts all in order.
// Of what was raised twice the first counts.
func (j *judging) settle() {
	slices.SortStableFunc(j.out.Deviations, compareDeviations)
	j.out.Deviations = slices.CompactFunc(j.out.Deviations, func(a, b study.Deviation) bool { return a.DeviationKey == b.DeviationKey })
	raised := j.out.Deviations
	for _, d := range j.stored {
		if d.State == study.Resolved || kindOf(d.Code) == "" {
			continue
		}
		if _, holds := slices.BinarySearchFunc(raised, d, compareDeviations); !holds {
			d.State = study.Resolved
			j.out.Deviations = append(j.out.Deviations, d)
		}
	}
	if len(j.out.Deviations) > len(raised) {
		slices.SortFunc(j.out.Deviations, compareDeviations)
	}
}

func compareDeviations(a, b study.Deviation) int {
	if a.VisitNo != b.VisitNo {
		return cmp.Compare(a.VisitNo, b.VisitNo)
	}
	return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Detail, b.Detail))
}

// distance is the evidence of a date outside the window of v.
func (j *judging) distance(what string, at study.PartialDate, t study.Timing, v *study.Visit) string {
	how := string(t)
	if at.Exact() {
		how += " " + days(max(int(at.First()-v.WindowEnd), int(v.WindowStart-at.First())))
	}
	return how + ": " + what + " " + j.on(at) + ", window " + j.span(v.WindowStart, v.WindowEnd)
}

// on writes a date in the study's calendar.
func (j *judging) on(at study.PartialDate) string {
	if !j.study.Relative {
		return at.String()
	}
	return "day " + strconv.Itoa(int(at.First()))
}

// span writes the days from one date to another, both included.
func (j *judging) span(from, to study.Date) string {
	return j.on(study.ExactDate(from)) + ".." + strings.TrimPrefix(j.on(study.ExactDate(to)), "day ")
}

func days(n int) string {
	if n == 1 {
		return "1 day"
	}
	return strconv.Itoa(n) + " days"
}
