package release

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"math/bits"
	"slices"
	"strings"

	"longitude/deid"
	"longitude/deid/risk"
	"longitude/study"
)

// gate gathers what the risk gate is shown of participants beside their table: the
// first of each sensitive answer that the policy names, and how they attended.
type gate struct {
	sensitive []personal
	answers   *study.Batch // of sensitive, a row for each participant
	attended  [len(patterns)][]int32
}

// patterns are how a participant attended, in bands, because a rare pattern tells
// who it is, to whoever saw them come. They follow from the table visits, so no level
// hides them and suppression does not: the gate coarsens everything else until the
// patterns are shared too, and the report says how many are rare by themselves.
var patterns = [...]string{"number of visits", "longest gap between visits", "when follow-up ended"}

func newGate(s *study.Study, participants *study.Table) gate {
	var g gate
	t := &study.Table{Name: tableParticipants, Key: participants.Key}
	for _, name := range s.Deid.Risk.Sensitive {
		form, field, of := strings.Cut(name, ".")
		i := s.FormIndex(form)
		if !of || i < 0 {
			continue // a column of participants, or none: door 2 says so
		}
		f := s.Forms[i].FieldIndex(field)
		if f < 0 || s.Forms[i].Fields[f].Sealed() || slices.ContainsFunc(participants.Columns, func(c study.Column) bool { return c.Form == form && c.Field == field }) {
			continue
		}
		p := personalColumns(s, i, f, len(t.Columns), nil)
		t.Columns = append(t.Columns, p.value...)
		g.sensitive = append(g.sensitive, p)
	}
	g.answers = newBatch(t)
	return g
}

// addToGate appends a participant, whose released visits are given.
func (b *Builder) addToGate(o owner, visits []happened, records []study.CurrentRecord) error {
	g := &b.gate
	g.answers.Rows++
	for _, p := range g.sensitive {
		if err := b.addPersonal(g.answers, p, records); err != nil {
			return err
		}
	}
	gap, before := 0, study.NoDate
	for i := range visits {
		if day := exact(visits[i].Actual); day.Known() {
			if before.Known() {
				gap = max(gap, int(day-before))
			}
			before = day
		}
	}
	exit := int32(-1) // followed still
	if days, known := o.elapsed(o.Withdrawn); o.Withdrawn.Known() && known {
		exit = months(days)
	}
	for i, band := range []int32{doubling(len(visits)), months(gap), exit} {
		g.attended[i] = append(g.attended[i], band)
	}
	return nil
}

// doubling puts numbers into bands that double: 0, 1, 2 to 3, 4 to 7, 8 to 15 …
func doubling(n int) int32 { return int32(bits.Len(uint(max(n, 0)))) }

// months puts days into bands: less than one month of 30 days, less than two, four, eight …
func months(days int) int32 { return doubling(days / 30) }

// Risk is what the risk gate found and chose.
type Risk struct {
	study      *study.Study
	plan       Plan
	population risk.Population
	columns    int // of the population's attributes, those that leave; patterns follow
	result     risk.Result
	alone      risk.Group // patterns by themselves
	Unmet      []string   // what of the study's policy does not hold; nil: all does
	Waiver     string     // who waived that, as signatures print; "" = nobody
	Digest     study.Digest
}

// Waived answers who signed, in the words in which signatures print, that a release
// may be published with the risk of a digest; "" is nobody.
type Waived func(ctx context.Context, digest study.Digest) (string, error)

// Judge shows the risk gate all participants added, and r what it chose. An error of
// code deid.risk says what of the study's policy does not hold and nobody has waived;
// one of code deid.unreviewed, how many texts of a field two people have yet to read.
func (b *Builder) Judge(ctx context.Context, r *deid.Recipient, waived Waived) (*Risk, error) {
	if err := b.unreviewed(); err != nil {
		return nil, err
	}
	all := b.wholePeople()
	var isNew []bool
	if before := b.plan.Before; before != nil {
		isNew = make([]bool, all.Rows)
		for i := range isNew {
			isNew[i] = !before.Participants[r.Participant(all.Vectors[0].Texts[i])]
		}
	}
	x := &Risk{study: b.study, plan: b.plan}
	var err error
	if x.population, err = r.Population(all, isNew); err != nil {
		return nil, err
	}
	x.columns = len(x.population.Quasi)
	var attended risk.Population
	for i, name := range patterns {
		attended.Quasi = append(attended.Quasi, risk.Attribute{Name: name, Levels: []risk.Level{{Name: "in bands", Classes: b.gate.attended[i]}}})
	}
	x.alone = risk.Assess(&attended, make([]int, len(patterns)), nil).All
	x.population.Quasi = append(x.population.Quasi, attended.Quasi...)
	if err := x.remedy(r); err != nil {
		return x, err
	}
	return x, x.settle(ctx, waived)
}

// wholePeople is participants with the sensitive answers beside.
func (b *Builder) wholePeople() *study.Batch {
	own, more := b.people, b.gate.answers
	t := *own.Table
	t.Columns = slices.Concat(t.Columns, more.Table.Columns)
	return &study.Batch{Table: &t, Rows: own.Rows, Participants: own.Participants, Anchors: own.Anchors, Vectors: slices.Concat(own.Vectors, more.Vectors)}
}

func (x *Risk) policy() risk.Policy {
	p := x.study.Deid.Risk
	return risk.Policy{K: p.K, L: p.L, MaxRisk: p.MaxRisk, SuppressMax: p.SuppressMax}
}

// remedy has the gate choose and tells r. A study that asks nothing is measured only.
func (x *Risk) remedy(r *deid.Recipient) error {
	if x.study.Deid.Risk.K == 0 {
		levels := make([]int, len(x.population.Quasi))
		x.result = risk.Result{Levels: levels, Before: risk.Assess(&x.population, levels, nil), Met: true}
		x.result.After = x.result.Before
		return nil
	}
	var err error
	if x.result, err = risk.Remedy(&x.population, x.policy()); err != nil {
		return err
	}
	chosen := x.result
	chosen.Levels = chosen.Levels[:x.columns]
	return r.Choose(chosen)
}

// settle decides whether the release may go on.
func (x *Risk) settle(ctx context.Context, waived Waived) error {
	if x.study.Deid.Risk.K == 0 {
		return nil
	}
	if !x.result.Met {
		x.Unmet = append(x.Unmet, x.result.Why)
	}
	// Whoever has the release before too can tell who is new. That blocks where
	// others than the study's own people receive releases under no agreement.
	if profile := x.study.Deid.Profile; profile == "expert" || profile == "safe_harbor" {
		for _, what := range x.policy().Unmet(x.result.After.New, x.population.Sensitive) {
			x.Unmet = append(x.Unmet, "of the participants who are new since the release before, "+what)
		}
	}
	x.Digest = x.digest()
	if len(x.Unmet) == 0 {
		return nil
	}
	var err error
	if x.Waiver, err = waived(ctx, x.Digest); err != nil || x.Waiver != "" || x.study.Deid.Risk.OnFailure == "warn" {
		return err
	}
	return &study.Error{Code: "deid.risk", Op: "release refused: " + strings.Join(x.Unmet, "; "), Exit: study.ExitBlocked,
		Hint: "give quasi-identifiers coarser levels, leave some out, raise min_site or suppress_max; or a release manager or custodian signs `longitude release waive-risk`"}
}

// digest is of all that a waiver is about: the release, its policy, what was chosen
// and what was measured.
func (x *Risk) digest() study.Digest {
	text, _ := json.Marshal(struct { // numbers and texts always can be
		Release, Study, Series, AsOf string
		Policy                       risk.Policy
		Levels                       []int
		Suppressed                   []bool
		Before, After                risk.Measures
		Patterns                     risk.Group
		Unmet                        []string
	}{x.plan.ID, x.study.Name, x.plan.Series, x.plan.AsOf.String(), x.policy(), x.result.Levels, x.result.Suppressed, x.result.Before, x.result.After, x.alone, x.Unmet})
	return sha256.Sum256(text)
}
