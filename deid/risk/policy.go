package risk

import (
	"fmt"
	"math"
	"strings"

	"longitude/study"
)

// Policy is what is asked of a release. Zero asks nothing.
type Policy struct {
	K           int     // participants of the smallest class
	L           int     // distinct values of each sensitive attribute in each class
	MaxRisk     float64 // most that 1/class size may be; 0.09 is one in 11, as published
	SuppressMax float64 // share of the participants who may be suppressed
}

// leastRisk is the strictest threshold: one in a thousand.
const leastRisk = 0.001

// check refuses a policy that cannot be meant.
func (p Policy) check() error {
	switch {
	case p.K < 0 || p.L < 0:
		return &study.Error{Code: "risk.policy", Op: "judge the risk of a release: k and l are numbers of participants and values, and not negative",
			Hint: "set k and l to 0 to ask nothing", Exit: study.ExitUsage}
	case p.MaxRisk != 0 && !(p.MaxRisk >= leastRisk && p.MaxRisk <= 1):
		return &study.Error{Code: "risk.policy", Op: "judge the risk of a release: the highest risk allowed is not between 0.001 and 1",
			Hint: "set it to 0 to ask nothing; ask for classes above 1,000 by k", Exit: study.ExitUsage}
	case !(p.SuppressMax >= 0 && p.SuppressMax <= 1):
		return &study.Error{Code: "risk.policy", Op: "judge the risk of a release: the share that may be suppressed is not between 0 and 1",
			Hint: "0.05 lets one in twenty participants be suppressed", Exit: study.ExitUsage}
	}
	return nil
}

// least is the size of the smallest class that K and MaxRisk allow. Thresholds
// are published with two decimals and stand for a whole number: 0.09 for one in
// 11, though that is 0.0909.
func (p Policy) least() int {
	if p.MaxRisk == 0 {
		return max(p.K, 1)
	}
	n := math.Round(1 / p.MaxRisk)
	if 1/n > p.MaxRisk && math.Round(100/n)/100 != p.MaxRisk {
		n++
	}
	return max(p.K, int(n))
}

// budget is how many of n participants may be suppressed.
func (p Policy) budget(n int) int { return int(p.SuppressMax*float64(n) + 1e-6) }

// Unmet says what of the policy does not hold for a group, a clause for each
// part; nil if all holds. Numbers that people may not see print as <11. Remedy
// judges all participants together; who asks the same of those who are new, or
// of each site, asks here.
func (p Policy) Unmet(g Group, sensitive []Sensitive) []string {
	if g.Participants == 0 {
		return nil
	}
	var failed []string
	if k := p.least(); g.Smallest < k {
		failed = append(failed, fmt.Sprintf("%s of %s participants share their quasi-identifiers with fewer than %d in all",
			Alone(int64(g.Below(k))), Alone(int64(g.Participants)), k))
	}
	var alike []string
	for s, distinct := range g.Diversity {
		if distinct < p.L {
			alike = append(alike, sensitive[s].Name)
		}
	}
	if len(alike) > 0 {
		failed = append(failed, fmt.Sprintf("a class has fewer than %d values of %s", p.L, strings.Join(alike, ", ")))
	}
	return failed
}
