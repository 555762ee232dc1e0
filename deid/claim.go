package deid

import (
	"slices"
	"strings"

	"longitude/study"
)

// claims, weakest first: what a release may say of itself.
var claims = []string{"internal", "limited", "expert", "safe_harbor"}

// limit is the strongest claim that a rule which was applied still allows.
type limit struct{ claim, because string }

// derivedCodes is the limit of codes computed from the source identifier: they
// are derived from the person, which 45 CFR 164.514(c) does not allow under Safe
// Harbor.
var derivedCodes = limit{"expert", "participant codes are derived from the source identifier"}

// limits are what bounds the claim: of the codes, and of the rules applied to the
// tables projected so far, in their order.
func (r *Recipient) limits() []limit {
	var all []limit
	if r.study.Deid.Pseudonym != Random {
		all = append(all, derivedCodes)
	}
	for _, p := range r.order {
		for _, c := range p.columns {
			if c.limit.claim != "" {
				all = append(all, c.limit)
			}
		}
	}
	return all
}

// Claim is the strongest claim allowed by every rule applied to the tables
// projected so far. It is computed, never read from the configuration. An expert
// determination can only be claimed with the expert's document, in force on the
// day of the release: without one the claim stops at limited, whatever the rules.
func (r *Recipient) Claim() string {
	strongest := len(claims) - 1
	for _, l := range r.limits() {
		strongest = min(strongest, slices.Index(claims, l.claim))
	}
	if claims[strongest] == "expert" && !r.study.Deid.Expert.Holds(r.asOf) {
		return "limited"
	}
	return claims[strongest]
}

// Check refuses the release when the study's profile asks for more than the
// rules applied allow, and names each that stands against it. It is called
// after every table was projected. That the expert's document is still missing
// refuses nothing: the release then claims less than its profile.
func (r *Recipient) Check() error {
	profile := slices.Index(claims, r.study.Deid.Profile)
	if profile < 0 {
		return &study.Error{Code: "deid.profile", Op: "release refused: the study names no de-identification profile",
			Hint: "set deidentification.profile to " + strings.Join(claims, ", "), Exit: study.ExitUsage}
	}
	against := r.against(profile)
	if len(against) == 0 {
		return nil
	}
	return &study.Error{Code: "deid.claim", Op: "release refused: profile " + r.study.Deid.Profile + " claims more than the rules allow (" + r.Claim() + "): " + strings.Join(against, "; "),
		Hint: "choose a weaker profile or change what stands against it", Exit: study.ExitBlocked}
}

// against says what allows less than a claim.
func (r *Recipient) against(claim int) (reasons []string) {
	for _, l := range r.limits() {
		if reason := l.because + " (at most " + l.claim + ")"; slices.Index(claims, l.claim) < claim && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	return reasons
}
