package synth

import (
	"fmt"
	"strconv"

	"longitude/study"
)

// spoil plants what goes wrong with rows: corrections, duplicates, faulty rows,
// and identifiers where they do not belong.
func (p *person) spoil(o Options) {
	for i := range len(p.entries) { // versions appended below are left as they are
		e := &p.entries[i]
		switch draw := p.rng.Float64() * 100; {
		case draw < 2:
			p.breakRow(e, o)
		case draw < 2.5:
			e.twice = true
		case draw < 3.5:
			p.correct(i, e.day+study.Date(p.between(0, 9)))
		case draw < 6.5 && e.day <= o.Until:
			p.correct(i, o.Until+study.Date(p.between(1, Second)))
		}
	}
	if p.withdrawn.Known() && p.withdrawn > o.Until && p.withdrawn <= o.Until+Second {
		p.announceWithdrawal()
	}
	p.plantIdentifiers()
}

// correct enters a newer version of entry i, changed in a clinical value.
func (p *person) correct(i int, day study.Date) {
	next := p.entries[i]
	next.again, next.older, next.newer, next.day = true, i, 0, day
	switch forms[next.form] {
	case visualAcuity:
		next.row[va] = strconv.Itoa(p.between(20, 99))
		if next.row[va] == p.entries[i].row[va] {
			next.row[va] = "19"
		}
	case octImaging:
		next.row[cst] = strconv.Itoa(p.between(530, 600))
	case adverseEvents:
		next.row[aeSeverity] = other(next.row[aeSeverity], "moderate", "severe")
	case medications:
		next.row[cmDose] = other(next.row[cmDose], "0.05", "4")
	case medicalHistory:
		next.row[smoking] = other(next.row[smoking], "former", "never")
	default:
		return // identity and consent stay as they are
	}
	next.row[lastModified] = p.instant(day)
	if next.row[lastModified] <= p.entries[i].row[lastModified] { // same day: the last second of it
		next.row[lastModified] = day.String() + "T23:59:59Z"
	}
	p.entries[i].newer = len(p.entries)
	p.entries = append(p.entries, next)
}

// other returns a or b, whichever is not now.
func other(now, a, b string) string {
	if now == a {
		return b
	}
	return a
}

// breakRow makes e a row that cannot be accepted. Only findings about an eye
// are broken, so that nobody loses a consent or an identity by it.
func (p *person) breakRow(e *entry, o Options) {
	if forms[e.form] != visualAcuity {
		return
	}
	kind := badKinds[p.rng.IntN(len(badKinds))]
	switch kind {
	case BadDate:
		e.row[visitDate] = "31/02/2026"
	case BadChoice:
		e.row[method] = "Landolt"
	case BadNumber:
		e.row[iop] = "sixteen"
		if p.chance(50) { // an identifier typed into the wrong box
			e.row[iop] = p.canary("MRN", 0)
			e.canaries = append(e.canaries, e.row[iop])
		}
	case BadForm:
		e.row[formName] = "visual_accuity"
	}
	e.bad = kind
	if kind != BadForm && p.chance(50) && e.day <= o.Until { // half of them are put right later
		p.repair(*e, o.Until+study.Date(p.between(1, Second)))
	}
}

// repair enters the row again as it should have been.
func (p *person) repair(e entry, day study.Date) {
	e.bad, e.canaries = "", nil
	e.again, e.day, e.older = true, day, -1
	e.row[visitDate] = european(p.visits[e.visit].day)
	e.row[method], e.row[iop] = "ETDRS", "15.0"
	e.row[lastModified] = p.instant(day)
	p.entries = append(p.entries, e)
}

// announceWithdrawal enters the history form again, because WITHDRAWN_ON
// travels on rows and a participant who left may have no others.
func (p *person) announceWithdrawal() {
	for i := range p.entries {
		if e := p.entries[i]; forms[e.form] == demographics && e.bad == "" {
			e.again, e.twice, e.day, e.older = true, false, p.withdrawn, -1
			e.row[lastModified] = p.instant(p.withdrawn)
			p.entries = append(p.entries, e)
			return
		}
	}
}

// plantIdentifiers puts names, numbers and addresses nobody could mistake for
// data where people put them: text, logins, and reasons.
func (p *person) plantIdentifiers() {
	for i := range p.entries {
		e := &p.entries[i]
		if e.bad != "" || e.again || e.newer > 0 {
			continue
		}
		switch form := forms[e.form]; {
		case form == demographics && p.chance(30):
			p.plant(e, initials, "NAME", "%s")
		case form == visualAcuity && e.row[notes] != "" && p.chance(10):
			kind := p.oneOf("NAME", "MRN", "PHONE", "EMAIL")
			p.plant(e, notes, kind, "spoke to %s about the appointment")
		case form == adverseEvents && e.row[aeNarrative] != "" && p.chance(20):
			p.plant(e, aeNarrative, "PHONE", "family called from %s, fell at home")
		case e.row[deviationReason] != "" && p.chance(10):
			p.plant(e, deviationReason, "NAME", "daughter of %s was ill")
		case p.chance(0.3):
			p.plant(e, modifiedBy, "EMAIL", "%s")
		}
	}
}

func (p *person) plant(e *entry, column int, kind, sentence string) {
	c := p.canary(kind, e.visit+1)
	e.row[column] = fmt.Sprintf(sentence, c)
	e.canaries = append(e.canaries, c)
}

// canary is an identifier of this person and kind, the text that every search
// for a leak looks for.
func (p *person) canary(kind string, n int) string {
	c := fmt.Sprintf("ZZCANARY-%s-%s-%d", kind, p.id, n)
	switch kind {
	case "EMAIL":
		return c + "@mail.example"
	case "PHONE":
		return c + " +44 7700 900" + fmt.Sprintf("%03d", p.rng.IntN(1000)) // Ofcom's numbers for drama
	}
	return c
}
