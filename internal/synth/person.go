package synth

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"longitude/study"
)

// person is one invented participant with everything that will ever be entered
// about them.
type person struct {
	rng            *rand.Rand
	site           int
	id             string
	baseline       study.Date
	consentEntered study.Date // day the consent form was entered; NoDate = never
	consentLate    bool       // consented after the baseline visit
	withdrawn      study.Date
	visits         []visit
	entries        []entry
}

// visit is one of a person's visits.
type visit struct {
	slot         int        // index into protocol; -1 = unscheduled
	day          study.Date // when it took place
	timing       int        // -1 early, 0 inside its window, 1 late
	missed       bool
	windowEnd    study.Date
	formsMissing int
	firstRow     study.Date // when its first row was entered; NoDate = never
}

// entry is one row as a site entered it.
type entry struct {
	row          [columns]string
	form         int        // index into forms: which file it is in
	visit        int        // index into visits; -1 on log forms
	day          study.Date // of entry or change: decides the delivery
	lateEntry    bool
	again        bool // a later version of a row that was there before
	twice        bool // delivered twice
	older, newer int  // the versions before and after it; older -1, newer 0 = none
	bad          string
	canaries     []string
}

// newPerson decides participant i from the seed.
func newPerson(o Options, i int) *person {
	p := &person{
		rng:  rand.New(rand.NewPCG(o.Seed, uint64(i))), //nolint:gosec // a reproducible study, not a secret
		site: i % o.Sites, withdrawn: study.NoDate, consentEntered: study.NoDate,
	}
	p.id = fmt.Sprintf("%c-%04d", 'A'+p.site, i/o.Sites+1)
	switch window := int(o.Until - o.Start); {
	case i >= o.Participants-max(1, o.Participants/25): // enrolled between the deliveries
		p.baseline = o.Until + study.Date(1+p.rng.IntN(20))
	default:
		p.baseline = o.Start + study.Date(p.rng.IntN(window-10))
	}
	if p.chance(4) {
		p.withdrawn = p.baseline + study.Date(40+p.rng.IntN(260))
	}
	p.plan()
	p.fillVisits(o)
	p.fillLogs()
	p.spoil(o)
	return p
}

func (p *person) chance(percent float64) bool { return p.rng.Float64()*100 < percent }

func (p *person) oneOf(s ...string) string { return s[p.rng.IntN(len(s))] }

func (p *person) between(lo, hi int) int { return lo + p.rng.IntN(hi-lo+1) }

// plan decides when the visits take place.
func (p *person) plan() {
	for s, slot := range protocol {
		due := p.baseline + study.Date(slot.day)
		v := visit{slot: s, windowEnd: due + study.Date(slot.after), day: due, firstRow: study.NoDate}
		switch draw := p.rng.Float64() * 100; {
		case s == 0: // baseline is its own anchor
		case draw < 4:
			v.missed = true
		case draw < 10:
			v.day, v.timing = v.windowEnd+study.Date(p.between(1, 12)), 1
		case draw < 14:
			v.day, v.timing = due-study.Date(slot.before+p.between(1, 6)), -1
		default:
			v.day = due + study.Date(p.between(-slot.before, slot.after)/2)
		}
		if p.withdrawn.Known() && v.windowEnd >= p.withdrawn {
			if !p.chance(5) {
				break // nothing is expected after withdrawal …
			}
			v.missed = false // … but a few sites go on regardless
		}
		p.visits = append(p.visits, v)
	}
	if p.chance(6) {
		day := p.baseline + study.Date(p.between(40, 330))
		p.visits = append(p.visits, visit{slot: -1, day: day, firstRow: study.NoDate})
	}
}

// fillVisits enters the forms of every visit.
func (p *person) fillVisits(o Options) {
	consent := p.consent(o)
	for v := range p.visits {
		visit := &p.visits[v]
		if visit.missed {
			continue
		}
		names := []string{visualAcuity}
		if visit.slot >= 0 {
			names = protocol[visit.slot].forms
		}
		reason := ""
		if visit.timing != 0 && p.chance(60) {
			reason = p.oneOf("patient on holiday", "clinic closed", "transport, bad weather", "participant's choice")
		}
		lag := p.between(0, 5)
		if p.chance(2) {
			lag = p.between(15, 40)
		}
		for _, name := range names {
			if name != consentForm && name != demographics && p.chance(1.2) {
				visit.formsMissing++
				continue
			}
			p.fill(v, name, entry{day: visit.day + study.Date(lag)}, reason, consent)
		}
	}
}

// consent decides when the participant consented: on the day or before it,
// sometimes after it, sometimes with a form that comes late or never.
func (p *person) consent(o Options) study.Date {
	day := p.baseline - study.Date(p.between(0, 5))
	switch draw := p.rng.Float64() * 100; {
	case draw < 1.5:
		return study.NoDate // never
	case draw < 3.5:
		p.consentEntered = max(p.baseline, o.Until) + study.Date(p.between(2, 20)) // arrives with the second delivery
	case draw < 5:
		day, p.consentLate = p.baseline+study.Date(p.between(1, 10)), true
	}
	return day
}

// fill enters one form of visit v, a row per eye where the form has them.
func (p *person) fill(v int, name string, e entry, reason string, consent study.Date) {
	e.visit = v
	e.row[deviationReason] = reason
	e.row[visitDate] = european(p.visits[v].day)
	e.row[visitName] = unscheduledName
	if s := p.visits[v].slot; s >= 0 {
		e.row[visitName] = protocol[s].name
	}
	switch name {
	case consentForm:
		if !consent.Known() {
			return
		}
		if p.consentEntered.Known() {
			e.day = p.consentEntered
		}
		e.day = max(e.day, consent)
		p.consentEntered = e.day
		e.row[consentDate] = european(consent)
		p.enter(name, e)
	case demographics:
		years := p.between(55, 92)
		e.row[sex] = p.oneOf("F", "F", "F", "M", "M")
		e.row[birthYear] = strconv.Itoa(p.baseline.Time().Year() - years)
		e.row[age] = strconv.Itoa(years)
		e.row[initials] = string([]byte{p.letter(), p.letter()})
		p.enter(name, e)
	case medicalHistory:
		e.row[diabetes] = p.oneOf("yes", "no", "no", "no", "")
		e.row[hypertension] = p.oneOf("yes", "no")
		e.row[smoking] = p.oneOf("never", "former", "current", "former", "")
		p.enter(name, e)
	case visualAcuity, octImaging:
		for _, side := range []string{"OD", "OS"} {
			p.examine(name, side, e)
		}
	}
}

// examine enters what was found in one eye.
func (p *person) examine(name, side string, e entry) {
	e.row[eye] = side
	if name == octImaging {
		e.row[cst] = strconv.Itoa(p.between(210, 520))
		if p.chance(3) {
			e.row[cst] = "NA"
		}
		e.row[fluid] = p.oneOf("none", "none", "irf", "srf", "both")
		p.enter(name, e)
		return
	}
	e.row[va] = strconv.Itoa(min(100, max(0, 62+int(p.rng.NormFloat64()*15))))
	if p.chance(1) {
		e.row[va] = p.oneOf("-1", "NA")
	}
	e.row[iop] = fmt.Sprintf("%d.%d", p.between(9, 24), p.between(0, 9))
	if p.chance(4) {
		e.row[iop] = p.oneOf("NA", "")
	}
	e.row[method] = p.oneOf("ETDRS", "ETDRS", "ETDRS", "Snellen")
	if p.chance(20) {
		e.row[notes] = p.oneOf("stable", "media hazy, refraction repeated", `says "lines look bent"`, "naïve eye\nsecond line", "wears glasses")
	}
	p.enter(name, e)
}

// fillLogs enters adverse events and medications, which belong to no visit.
func (p *person) fillLogs() {
	last := p.baseline
	for _, v := range p.visits {
		if !v.missed {
			last = max(last, v.day)
		}
	}
	for n := range p.rng.IntN(4) {
		onset := p.baseline + study.Date(p.rng.IntN(int(last-p.baseline)+1))
		e := entry{visit: -1, day: onset + study.Date(p.between(1, 12))}
		e.row[aeID], e.row[aeOnset] = strconv.Itoa(n+1), european(onset)
		e.row[aeTerm] = p.oneOf("conjunctival_haemorrhage", "eye_pain", "floaters", "raised_iop", "headache", "fall", "other")
		e.row[aeSeverity] = p.oneOf("mild", "mild", "moderate", "severe")
		if p.chance(40) {
			e.row[aeNarrative] = p.oneOf("resolved without treatment", "seen in clinic, drops given", "ongoing at the next visit")
		}
		p.enter(adverseEvents, e)
	}
	for n := range p.between(1, 2) {
		begun := p.baseline + study.Date(n*p.between(30, 90))
		e := entry{visit: -1, day: begun + study.Date(p.between(0, 5))}
		e.row[cmID], e.row[cmStart] = strconv.Itoa(n+1), european(begun)
		e.row[cmDrug] = p.oneOf("ranibizumab", "aflibercept", "bevacizumab", "faricimab")
		e.row[cmDose] = p.oneOf("0.5", "2", "1.25", "6", "NA")
		p.enter(medications, e)
	}
}

// enter appends e as a row of form name, entered on e.day.
func (p *person) enter(name string, e entry) {
	for f := range forms {
		if forms[f] == name {
			e.form = f
		}
	}
	e.older = -1
	e.row[patientID], e.row[formName] = p.id, name
	e.row[createdAt] = e.day.String()
	e.row[modifiedBy] = p.oneOf("nurse1", "nurse2", "coordinator", "datamanager")
	e.row[lastModified] = p.instant(e.day)
	if e.visit >= 0 {
		v := &p.visits[e.visit]
		e.lateEntry = e.day-v.day > lateEntryDays
		if !v.firstRow.Known() || e.day < v.firstRow {
			v.firstRow = e.day
		}
	}
	p.entries = append(p.entries, e)
}

// instant is a moment of a working day.
func (p *person) instant(d study.Date) string {
	return fmt.Sprintf("%sT%02d:%02d:%02dZ", d, p.between(8, 17), p.rng.IntN(60), p.rng.IntN(60))
}

func (p *person) letter() byte { return byte('A' + p.rng.IntN(26)) }

// european writes a day as the sites do: DD/MM/YYYY.
func european(d study.Date) string {
	parts := strings.Split(d.String(), "-")
	return parts[2] + "/" + parts[1] + "/" + parts[0]
}
