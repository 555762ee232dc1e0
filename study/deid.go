package study

// DeidPolicy is the study's de-identification as configured. The claim a
// release makes is computed from the rules applied, never read from here.
type DeidPolicy struct {
	Profile            string // internal | limited | expert | safe_harbor
	Pseudonym          string // derived | random
	Dates              string // study_day | shift | year | keep
	WholeWeeks         bool   // shifts are multiples of seven days, so that weekdays stay
	Truncate           bool   // of shifted releases: what lies within a shift's width of the ends of the data is left out
	MissedLagDays      int    // missed visits appear this long after their window ended (default 30)
	MinReleaseInterval int    // days between two releases of the study; 0 = any
	MinSite            int    // sites with fewer participants are released as one; 0 = none are
	Hierarchies        []Hierarchy
	Risk               RiskPolicy
	Expert             Determination
}

// RiskPolicy is what the risk gate asks of a release: one row per participant
// over the released quasi-identifiers. The zero policy asks nothing.
type RiskPolicy struct {
	Quasi       []string // columns of participants that take part beside those of class quasi
	K           int      // participants that no released combination may be fewer than; 0 = no gate
	L           int      // distinct values of each sensitive attribute in a class of equals; 0 = not asked
	MaxRisk     float64  // most that 1/class size may be for anybody; 0 = not asked
	SuppressMax float64  // share of participants that may be suppressed locally, 0…1
	Sensitive   []string // columns of participants that L is about
	OnFailure   string   // block | warn
}

// Treatment says how a field is released where its class leaves a choice. The
// zero Treatment is what the class does by itself.
type Treatment struct {
	Action    Action
	Step      string // of round: the multiple that values are rounded to, a decimal
	Low, High string // of clip: decimals, both inside
	Hierarchy string // of generalise: its name
}

// Action names a treatment.
type Action string

// The actions. Which class allows which is decided by Class.Allows.
const (
	ByClass    Action = ""
	Drop       Action = "drop"
	Keep       Action = "keep"        // as it is; of a datetime, the time of day is kept beside the released date
	Zip3       Action = "zip3"        // first three digits, 000 where few people live
	Round      Action = "round"       // to the nearest multiple
	Clip       Action = "clip"        // into an interval
	HasText    Action = "has_text"    // whether there was a text
	DigestOnly Action = "digest_only" // of a file, its digest keyed for the series
	Generalise Action = "generalise"  // by levels of a hierarchy, as coarse as the risk gate needs
	Reviewed   Action = "reviewed"    // text that two people signed
)

// Allows reports whether fields of class c may be released by action a.
func (c Class) Allows(a Action) bool {
	switch a {
	case ByClass, Drop:
		return true
	case Keep:
		return c == Quasi || c == DateClass || c == StudyDate || c == Clinical || c == Sensitive
	case Zip3, Generalise:
		return c == Quasi
	case Round, Clip:
		return c == Quasi || c == Clinical || c == Sensitive
	case HasText, Reviewed:
		return c == FreeText
	case DigestOnly:
		return c == Attachment
	}
	return false
}

// Hierarchy is a ladder of ever coarser ways to release a quasi-identifier.
type Hierarchy struct {
	Name   string
	Levels []Level // at least one, from finest to coarsest; the first is released unless the risk gate asks for more
}

// Level is one way of releasing values. Exactly one of its fields is set.
type Level struct {
	Keep   bool // as they are; only first
	Band   int  // numbers, and the band of so many units that each falls in
	Groups []Group
	Drop   bool // not at all; only last
}

// Group is a set of codes released under one name.
type Group struct {
	Name  string
	Codes []string
}

// Determination is an expert's written statement that the risk of
// re-identification is very small (45 CFR 164.514(b)(1)). Without one that holds
// on the day of a release the claim stops at limited.
type Determination struct {
	Document string // file, as the study document names it
	Expert   string
	Date     Date
	Expires  Date   // last day on which it holds; NoDate: it says none
	SHA256   string // of the document, in hex; "" = there is no determination
}

// Holds reports whether there is a determination that is in force on a day.
func (d Determination) Holds(on Date) bool {
	return d.SHA256 != "" && (!d.Date.Known() || d.Date <= on) && (!d.Expires.Known() || on <= d.Expires)
}

// Hierarchy returns the named hierarchy, or nil.
func (p *DeidPolicy) Hierarchy(name string) *Hierarchy {
	for i := range p.Hierarchies {
		if p.Hierarchies[i].Name == name {
			return &p.Hierarchies[i]
		}
	}
	return nil
}
