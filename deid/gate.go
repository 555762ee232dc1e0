package deid

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"longitude/deid/risk"
	"longitude/study"
)

// A quasi-identifier of participants is released at one level of its ladder: as
// door 2 would release it by itself, or coarser, up to not at all. Population
// shows the risk gate every level; Choose fixes what the gate chose.

// ladder is how a column can be released: by the hierarchy that its field names,
// else as it is or not at all.
func (r *Recipient) ladder(f *study.Field) []study.Level {
	if f != nil && f.Release.Action == study.Generalise {
		if h := r.study.Deid.Hierarchy(f.Release.Hierarchy); h != nil {
			return h.Levels
		}
	}
	return []study.Level{{Keep: true}, {Drop: true}}
}

// identifies reports whether a column of participants takes part in the gate.
func (r *Recipient) identifies(c study.Column) bool {
	return c.Class == study.Quasi || slices.ContainsFunc(r.study.Deid.Risk.Quasi, func(name string) bool { return named(c, name) })
}

// named reports whether name means column c: by itself, or by its field.
func named(c study.Column, name string) bool {
	return name == c.Name || c.Field != "" && name == c.Form+"."+c.Field && c.Transform != "missing_reason"
}

// gated releases a column of participants at the level chosen, and not at all for
// those who are suppressed.
func (r *Recipient) gated(t *study.Table, c study.Column, f *study.Field, finest rule, n *Counts) (rule, error) {
	if !r.identifies(c) {
		return finest, nil
	}
	ladder := r.ladder(f)
	level := ladder[min(r.levels[c.Name], len(ladder)-1)]
	out, err := climb(t, finest, level, n)
	if err != nil {
		return out, err
	}
	for i := range out.outlets {
		out.outlets[i] = r.suppressing(t, out.outlets[i], n)
	}
	return out, nil
}

// climb is the rule that releases at a level what finest releases.
func climb(t *study.Table, finest rule, level study.Level, n *Counts) (rule, error) {
	first := finest.outlets[0]
	numeric := first.column.Kind == study.Int64Kind || first.column.Kind == study.DecimalKind
	switch {
	case level.Drop:
		return dropped("the risk gate needs it"), nil
	case level.Keep:
		return finest, nil
	case level.Band > 0 && !numeric, level.Groups != nil && first.column.Kind != study.TextKind:
		return rule{}, misfit(t, first.column)
	}
	into := groupMask(level.Groups)
	what := fmt.Sprintf("generalised to %d groups", len(level.Groups))
	if level.Band > 0 {
		what = "generalised to bands of " + strconv.Itoa(level.Band)
		into = bandMask(first.column, level.Band)
	}
	c := first.column
	c.Kind, c.Scale, c.CodeList = study.TextKind, 0, ""
	c.Description = sentence(c.Description, "Generalised so that nobody stands out.")
	out := one(c, joined(c.Masking, what), func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		finer, err := first.mask(b, v)
		if err != nil {
			return finer, err
		}
		n.Generalised += present(b, &finer)
		return into(b, &finer)
	})
	out.limit = finest.limit
	return out, nil
}

func present(b *study.Batch, v *study.Vector) (n int64) {
	for i := range b.Rows {
		if !v.Null(i) {
			n++
		}
	}
	return n
}

// bandMask names the band of so many units that a number falls in. Bands begin at
// multiples of their width; one that begins at a top-code has no end.
func bandMask(c study.Column, width int) mask {
	unit := int64(math.Pow10(c.Scale))
	names := map[int64]string{}
	top := ageLimit(c)
	name := func(low int64) string {
		switch {
		case top > 0 && low >= top:
			return strconv.FormatInt(low, 10) + "+"
		case c.Scale > 0:
			return fmt.Sprintf("%d-<%d", low, low+int64(width))
		}
		return fmt.Sprintf("%d-%d", low, low+int64(width)-1)
	}
	return func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		out := study.Vector{Valid: v.Valid, Texts: make([]string, b.Rows)}
		for i := range b.Rows {
			if v.Null(i) {
				continue
			}
			span := int64(width) * unit
			low := (v.Ints[i] - ((v.Ints[i]%span)+span)%span) / unit
			if _, known := names[low]; !known {
				names[low] = name(low)
			}
			out.Texts[i] = names[low]
		}
		return out, nil
	}
}

// groupMask names the group of a code. A code of no group is missing: the study
// document is checked for there being none.
func groupMask(groups []study.Group) mask {
	of := map[string]string{}
	for _, g := range groups {
		for _, code := range g.Codes {
			of[code] = g.Name
		}
	}
	return func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		out := study.Vector{Valid: validity(v, b.Rows), Texts: make([]string, b.Rows)}
		for i := range b.Rows {
			if !v.Null(i) {
				out.Texts[i], out.Valid[i] = of[v.Texts[i]], of[v.Texts[i]] != ""
			}
		}
		return out, nil
	}
}

// suppressing is an outlet that releases nothing of those whom the gate suppressed.
// With a gate asked for and no choice made, nothing leaves.
func (r *Recipient) suppressing(t *study.Table, o outlet, n *Counts) outlet {
	inner := o.mask
	if r.study.Deid.Risk.K > 0 {
		o.column.Nullable = true
	}
	o.mask = func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		if r.study.Deid.Risk.K > 0 && !r.chosen {
			return study.Vector{}, &study.Error{Code: "deid.unjudged", Op: "release " + t.Name + "." + o.column.Name + ": the risk gate has not judged it", Exit: study.ExitBlocked,
				Hint: "this is a fault of the program: report it with the code"}
		}
		out, err := inner(b, v)
		if err != nil || len(r.suppressed) == 0 {
			return out, err
		}
		if len(b.Participants) != b.Rows {
			return out, noParticipants(t)
		}
		counts := Counts{}
		out = without(b, &out, &counts, func(i int) bool { return r.suppressed[b.Participants[i]] })
		n.Suppressed += counts.Nulled
		return out, nil
	}
	return o
}

func noParticipants(t *study.Table) error {
	return &study.Error{Code: "deid.no_participant", Op: "release table " + t.Name + ": the rows came without participants", Exit: study.ExitBlocked,
		Hint: "this is a fault of the program: report it with the code"}
}

// Population shows the risk gate all participants of a release, in the order of
// the rows: one batch with a row for each, of the table participants or of one
// that has more columns, such as the sensitive answers that the policy names.
// isNew says who was in no release before; nil if there was none. What the gate
// sees is what would leave: ages are top-coded, small sites pooled. Survey has met
// all participants before.
func (r *Recipient) Population(participants *study.Batch, isNew []bool) (risk.Population, error) {
	t, p := participants.Table, risk.Population{New: isNew}
	if !perPerson(t) {
		return p, &study.Error{Code: "deid.shape", Op: "judge the risk of table " + t.Name + ": it does not have one row per participant",
			Hint: "this is a fault of the program: report it with the code"}
	}
	if len(participants.Participants) != participants.Rows {
		return p, noParticipants(t)
	}
	r.people, r.judged = slices.Clone(participants.Participants), nil
	r.countSites(participants)
	policy, found := r.study.Deid.Risk, map[string]bool{}
	for i, c := range t.Columns {
		v, uncounted := &participants.Vectors[i], new(Counts)
		for _, name := range slices.Concat(policy.Quasi, policy.Sensitive) {
			found[name] = found[name] || named(c, name)
		}
		sensitive := slices.ContainsFunc(policy.Sensitive, func(name string) bool { return named(c, name) })
		if !sensitive && !r.identifies(c) {
			continue
		}
		finest, err := r.finest(t, c, uncounted)
		if err != nil {
			return p, err
		}
		if len(finest.outlets) == 0 {
			continue
		}
		if sensitive {
			released, err := finest.outlets[0].mask(participants, v)
			if err != nil {
				return p, err
			}
			p.Sensitive = append(p.Sensitive, risk.Sensitive{Name: c.Name, Values: codesOf(participants, &released)})
			continue
		}
		attribute, err := r.attribute(participants, c, v, finest)
		if err != nil {
			return p, err
		}
		p.Quasi, r.judged = append(p.Quasi, attribute), append(r.judged, c.Name)
		if isSite(t, c) {
			p.Site, p.Sites = r.siteCodes(v, participants)
		}
	}
	for _, name := range slices.Concat(policy.Quasi, policy.Sensitive) {
		if !found[name] {
			return p, &study.Error{Code: "deid.risk_column", Op: "judge the risk of a release: participants have no column " + name, Exit: study.ExitUsage,
				Hint: "correct deidentification.risk: columns of participants, or form.field"}
		}
	}
	return p, nil
}

// finest is the rule of a column of participants before the gate.
func (r *Recipient) finest(t *study.Table, c study.Column, n *Counts) (rule, error) {
	f := r.field(c)
	if f != nil && (f.Sealed() || f.Class == study.Blinded || f.Release.Action == study.Drop) {
		return dropped("class " + string(f.Class)), nil
	}
	return r.plainRule(t, c, f, n)
}

// attribute is a quasi-identifier at every level of its ladder.
func (r *Recipient) attribute(b *study.Batch, c study.Column, v *study.Vector, finest rule) (risk.Attribute, error) {
	a := risk.Attribute{Name: c.Name}
	for i, level := range r.ladder(r.field(c)) {
		at, err := climb(b.Table, finest, level, new(Counts))
		if err != nil {
			return a, err
		}
		classes := make([]int32, b.Rows)
		if len(at.outlets) > 0 {
			released, err := at.outlets[0].mask(b, v)
			if err != nil {
				return a, err
			}
			classes = codesOf(b, &released)
		}
		a.Levels = append(a.Levels, risk.Level{Name: levelName(i, level), Classes: classes})
	}
	return a, nil
}

func levelName(i int, l study.Level) string {
	switch {
	case l.Keep:
		return "keep"
	case l.Drop:
		return "drop"
	case l.Band > 0:
		return "bands of " + strconv.Itoa(l.Band)
	}
	return "groups " + strconv.Itoa(i)
}

// codesOf numbers the values of a vector in their order; -1 is missing.
func codesOf(b *study.Batch, v *study.Vector) []int32 {
	switch {
	case v.Texts != nil:
		return numbered(b, v, v.Texts)
	case v.Floats != nil:
		return numbered(b, v, v.Floats)
	}
	return numbered(b, v, v.Ints)
}

func numbered[T cmp.Ordered](b *study.Batch, v *study.Vector, values []T) []int32 {
	place := map[T]int32{}
	for i := range b.Rows {
		if !v.Null(i) {
			place[values[i]] = 0
		}
	}
	distinct := make([]T, 0, len(place))
	for value := range place {
		distinct = append(distinct, value)
	}
	slices.Sort(distinct)
	for n, value := range distinct {
		place[value] = int32(n)
	}
	codes := make([]int32, b.Rows)
	for i := range codes {
		if codes[i] = -1; !v.Null(i) {
			codes[i] = place[values[i]]
		}
	}
	return codes
}

// countSites decides which sites are released as one.
func (r *Recipient) countSites(b *study.Batch) {
	count := map[string]int{}
	for i, c := range b.Table.Columns {
		if isSite(b.Table, c) {
			for row := range b.Rows {
				if !b.Vectors[i].Null(row) {
					count[b.Vectors[i].Texts[row]]++
				}
			}
		}
	}
	r.pooled = pool(count, r.study.Deid.MinSite)
}

// siteCodes tells sites apart as the release does.
func (r *Recipient) siteCodes(v *study.Vector, b *study.Batch) (of []int32, sites []string) {
	place := map[string]int32{}
	of = make([]int32, b.Rows)
	for i := range of {
		if of[i] = -1; v.Null(i) {
			continue
		}
		site := v.Texts[i]
		if r.pooled[site] {
			site = PooledSite
		} else if r.study.Deid.Profile == "safe_harbor" {
			site = r.other('S', site)
		}
		if _, known := place[site]; !known {
			place[site] = int32(len(sites))
			sites = append(sites, site)
		}
		of[i] = place[site]
	}
	return of, sites
}

// Choose fixes what the risk gate chose of the last Population: the level of each
// quasi-identifier, and the participants of whom none is released. It is called
// before Apply of tables with one row per participant, which are projected anew:
// Project answers another table from then on.
func (r *Recipient) Choose(chosen risk.Result) error {
	if len(chosen.Levels) != len(r.judged) || len(chosen.Suppressed) != len(r.people) {
		return &study.Error{Code: "deid.shape", Op: "apply the choice of the risk gate: it is not about the population that was judged last",
			Hint: "this is a fault of the program: report it with the code"}
	}
	r.levels, r.suppressed, r.chosen = map[string]int{}, map[int64]bool{}, true
	for i, name := range r.judged {
		r.levels[name] = chosen.Levels[i]
	}
	for i, out := range chosen.Suppressed {
		if out {
			r.suppressed[r.people[i]] = true
		}
	}
	for _, p := range slices.Clone(r.order) {
		if !perPerson(p.from) {
			continue
		}
		delete(r.tables, p.from)
		if _, err := r.projection(p.from); err != nil {
			return err
		}
	}
	return nil
}
