package release

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"longitude/deid/risk"
)

// riskReport is reports/risk.json: how well participants hide among each other, and
// what was done for it. Counts print as in everything that people read.
type riskReport struct {
	Study    string       `json:"study"`
	Release  string       `json:"release"`
	AsOf     string       `json:"as_of"`
	Policy   *riskAsked   `json:"policy,omitempty"` // none: the study asks nothing, and is measured
	Met      bool         `json:"met"`
	Unmet    []string     `json:"unmet,omitempty"`
	Waiver   string       `json:"waiver,omitempty"`
	Digest   string       `json:"digest,omitempty"` // what a waiver signs
	Quasi    []riskColumn `json:"quasi_identifiers"`
	Patterns riskGroup    `json:"visit_patterns"` // by themselves: they follow from the table visits
	Before   riskGroup    `json:"before"`
	After    riskGroup    `json:"after"`
	New      *riskGroup   `json:"new_participants,omitempty"` // none: there was no release before
	Sites    []riskGroup  `json:"sites,omitempty"`
	Sizes    []told       `json:"participants_by_class_size"`
}

// told is a count under its name.
type told struct {
	Name  string `json:"name"`
	Count string `json:"count"`
}

type riskAsked struct {
	K           int     `json:"k"`
	L           int     `json:"l,omitempty"`
	MaxRisk     float64 `json:"max_risk,omitempty"`
	SuppressMax float64 `json:"suppress_max"`
	OnFailure   string  `json:"on_failure"`
}

// riskColumn is a quasi-identifier, its levels from the finest, and the one chosen.
type riskColumn struct {
	Column string   `json:"column"`
	Levels []string `json:"levels"`
	Chosen string   `json:"chosen"`
}

type riskGroup struct {
	Name         string `json:"name,omitempty"`
	Participants string `json:"participants"`
	Suppressed   string `json:"suppressed"`
	Smallest     string `json:"smallest_class"`
	Uniques      string `json:"uniques"`
	Below        string `json:"in_classes_below_k,omitempty"`
	MaxRisk      string `json:"max_risk"`
	AverageRisk  string `json:"average_risk"`
	Diversity    []told `json:"distinct_sensitive_values,omitempty"`
}

func (x *Risk) report() (riskReport, error) {
	s, p, tell := x.study, x.study.Deid.Risk, tellerOf(x.study)
	r := riskReport{Study: s.Name, Release: x.plan.ID, AsOf: x.plan.AsOf.String(), Met: len(x.Unmet) == 0, Unmet: x.Unmet, Waiver: x.Waiver,
		Quasi: []riskColumn{}, Patterns: x.group(tell, x.alone), Before: x.group(tell, x.result.Before.All), After: x.group(tell, x.result.After.All)}
	if p.K > 0 {
		r.Policy, r.Digest = &riskAsked{p.K, p.L, p.MaxRisk, p.SuppressMax, p.OnFailure}, x.Digest.String()
	}
	for i, a := range x.population.Quasi {
		c := riskColumn{Column: a.Name}
		for _, level := range a.Levels {
			c.Levels = append(c.Levels, level.Name)
		}
		c.Chosen = c.Levels[x.result.Levels[i]]
		r.Quasi = append(r.Quasi, c)
	}
	if x.population.New != nil {
		group := x.group(tell, x.result.After.New)
		r.New = &group
	}
	return r, x.spread(&r, tell)
}

// spread adds the sites and the sizes of classes: parts of the participants.
func (x *Risk) spread(r *riskReport, tell teller) error {
	var people []int64
	for _, g := range x.result.After.Sites {
		r.Sites = append(r.Sites, x.group(tell, g))
		people = append(people, int64(g.Participants))
	}
	cells, _, err := tell.list(people)
	if err != nil {
		return err
	}
	for i := range cells {
		r.Sites[i].Participants = cells[i]
	}
	bounds := []int{1, 11, 21, 51, 101}
	counts := make([]int64, len(bounds))
	for _, size := range x.result.After.All.Sizes {
		at := len(bounds) - 1
		for size.Participants < bounds[at] {
			at--
		}
		counts[at] += int64(size.Participants * size.Classes)
	}
	if cells, _, err = tell.list(counts); err != nil {
		return err
	}
	for i, n := range cells {
		name := strconv.Itoa(bounds[i]) + "+"
		if i+1 < len(bounds) {
			name = strconv.Itoa(bounds[i]) + "-" + strconv.Itoa(bounds[i+1]-1)
		}
		r.Sizes = append(r.Sizes, told{name, n})
	}
	return nil
}

// group tells of a group. A risk is told where the count that it follows from is.
func (x *Risk) group(tell teller, g risk.Group) riskGroup {
	t := riskGroup{Name: g.Name, Participants: tell.alone(int64(g.Participants)), Suppressed: tell.alone(int64(g.Suppressed)),
		Smallest: tell.alone(int64(g.Smallest)), Uniques: tell.alone(int64(g.Uniques)), MaxRisk: notShown, AverageRisk: strconv.FormatFloat(g.AverageRisk, 'f', 3, 64)}
	if k := x.study.Deid.Risk.K; k > 0 {
		t.Below = tell.alone(int64(g.Below(k)))
	}
	if tell.exact || risk.Alone(int64(g.Smallest)).Shown() {
		t.MaxRisk = strconv.FormatFloat(g.MaxRisk, 'f', 3, 64)
	}
	for i, distinct := range g.Diversity {
		t.Diversity = append(t.Diversity, told{x.population.Sensitive[i].Name, strconv.Itoa(distinct)})
	}
	return t
}

// notShown stands for a number that would give a small count away.
const notShown = "not shown"

// text is reports/risk.md.
func (r riskReport) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# How well participants of %s hide among each other\n\n", r.Study)
	if r.Policy == nil {
		b.WriteString("The study asks for no size of classes. What follows is measured, and nothing was done for it.\n")
	} else {
		r.Policy.text(&b, r.Met)
	}
	for _, what := range r.Unmet {
		fmt.Fprintf(&b, "\n- %s\n", what)
	}
	if r.Waiver != "" {
		fmt.Fprintf(&b, "\nWaived: %s\n", r.Waiver)
	}
	b.WriteString("\nA class is those who share every quasi-identifier. Counts of 1 to 10 print as <11 where the release leaves the house.\n")
	b.WriteString("\n## What tells people apart\n\n| quasi-identifier | levels, from the finest | chosen |\n|---|---|---|\n")
	for _, c := range r.Quasi {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.Column, strings.Join(c.Levels, ", "), c.Chosen)
	}
	b.WriteString("\n## Measures\n\n| | participants | suppressed | smallest class | alone in their class | below k | highest risk | average risk | distinct sensitive values |\n|---|---:|---:|---:|---:|---:|---:|---:|---|\n")
	row := func(name string, g riskGroup) {
		var diversity []string
		for _, s := range g.Diversity {
			diversity = append(diversity, s.Name+" "+s.Count)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", name, g.Participants, g.Suppressed, g.Smallest, g.Uniques, g.Below, g.MaxRisk, g.AverageRisk, strings.Join(diversity, ", "))
	}
	row("as it would be", r.Before)
	row("as released", r.After)
	if r.New != nil {
		row("new since the release before", *r.New)
	}
	for _, site := range r.Sites {
		row("site "+site.Name, site)
	}
	row("by visit pattern alone", r.Patterns)
	b.WriteString("\nVisit patterns (in bands) cannot be suppressed: they follow from the table visits.\n")
	b.WriteString("\n## Participants by size of their class\n\n| size | participants |\n|---|---:|\n")
	for _, size := range r.Sizes {
		fmt.Fprintf(&b, "| %s | %s |\n", size.Name, size.Count)
	}
	return b.Bytes()
}

func (p *riskAsked) text(b *bytes.Buffer, met bool) {
	fmt.Fprintf(b, "Asked: classes of at least %d, at most %g %% of the participants suppressed", p.K, 100*p.SuppressMax)
	if p.L > 0 {
		fmt.Fprintf(b, ", %d distinct values of each sensitive answer in each class", p.L)
	}
	if p.MaxRisk > 0 {
		fmt.Fprintf(b, ", a risk of at most %g", p.MaxRisk)
	}
	fmt.Fprintf(b, ". **%s.**\n", map[bool]string{true: "All of it holds", false: "It does not hold"}[met])
}
