package config

import "time"

// The documents as written. Names follow the keys; meaning and defaults are given
// in study.go and source.go, which turn them into the vocabulary of package study.

type serviceDoc struct {
	Service struct {
		Database      Database       `yaml:"database"`
		DataDir       string         `yaml:"data_dir"`
		Landing       string         `yaml:"landing"`
		Keys          string         `yaml:"keys"`
		KeysDir       string         `yaml:"keys_dir"`
		Anchors       []string       `yaml:"anchors"`
		Listen        string         `yaml:"listen"`
		AdminListen   string         `yaml:"admin_listen"`
		ReceiveListen string         `yaml:"receive_listen"`
		Workers       int            `yaml:"workers"`
		Access        accessDoc      `yaml:"access"`
		Lineage       lineageDoc     `yaml:"lineage"`
		Sinks         pairs[ownKeys] `yaml:"sinks"`
	} `yaml:"service"`
}

type accessDoc struct {
	OIDC struct {
		Issuer    string `yaml:"issuer"`
		Audience  string `yaml:"audience"`
		RoleClaim string `yaml:"role_claim"`
	} `yaml:"oidc"`
}

type lineageDoc struct {
	OpenLineage string `yaml:"openlineage"`
}

type studyDoc struct {
	Study    string `yaml:"study"`
	Title    string `yaml:"title"`
	Protocol struct {
		ID      string `yaml:"id"`
		Version string `yaml:"version"`
	} `yaml:"protocol"`
	CodePrefix string         `yaml:"code_prefix"`
	Timezone   string         `yaml:"timezone"`
	Days       string         `yaml:"days"`
	Enrolment  enrolmentDoc   `yaml:"enrolment"`
	Consent    consentDoc     `yaml:"consent"`
	Deviations deviationsDoc  `yaml:"deviations"`
	Visits     []visitDoc     `yaml:"visits"`
	Amendments []amendmentDoc `yaml:"amendments"`
	Forms      pairs[formDoc] `yaml:"forms"`
	Checks     []crossDoc     `yaml:"checks"`
	Identity   struct {
		Sex       []string `yaml:"sex"`
		BirthYear []string `yaml:"birth_year"`
	} `yaml:"identity"`
	Deidentification deidDoc     `yaml:"deidentification"`
	Releases         releasesDoc `yaml:"releases"`
}

type deviationsDoc struct {
	LateEntryDays      *int              `yaml:"late_entry_days"`
	FormGraceDays      *int              `yaml:"form_grace_days"`
	VisitOutOfWindow   string            `yaml:"visit_out_of_window"`
	PlannedOutOfWindow string            `yaml:"planned_out_of_window"`
	Kinds              map[string]string `yaml:"kinds"`
}

type visitDoc struct {
	Name     string        `yaml:"name"`
	Label    string        `yaml:"label"`
	Number   string        `yaml:"number"`
	Aliases  []string      `yaml:"aliases"`
	Days     string        `yaml:"days"`
	Day      *int          `yaml:"day"`
	Every    *int          `yaml:"every"`
	Times    *int          `yaml:"times"`
	Window   []int         `yaml:"window"`
	MaxDays  *int          `yaml:"max_days"`
	Anchor   string        `yaml:"anchor"`
	Required *bool         `yaml:"required"`
	Repeats  *bool         `yaml:"repeats"`
	Forms    visitFormsDoc `yaml:"forms"`
}

type amendmentDoc struct {
	Version   string            `yaml:"version"`
	Effective string            `yaml:"effective"`
	Sites     map[string]string `yaml:"sites"`
	Visits    []visitDoc        `yaml:"visits"`
	Retired   []string          `yaml:"retired"`
}

type crossDoc struct {
	Name     string `yaml:"name"`
	On       string `yaml:"on"`
	Expr     string `yaml:"expr"`
	Severity string `yaml:"severity"`
}

type formDoc struct {
	Label   string `yaml:"label"`
	Log     bool   `yaml:"log"`
	Repeats *struct {
		By     string   `yaml:"by"`
		Expect []string `yaml:"expect"`
	} `yaml:"repeats"`
	Fields []fieldDoc `yaml:"fields"`
	Checks []struct {
		Name     string `yaml:"name"`
		Expr     string `yaml:"expr"`
		Severity string `yaml:"severity"`
	} `yaml:"checks"`
}

type fieldDoc struct {
	Name     string       `yaml:"name"`
	Label    string       `yaml:"label"`
	Type     string       `yaml:"type"`
	Required bool         `yaml:"required"`
	Range    rangeDoc     `yaml:"range"`
	Severity severities   `yaml:"severity"`
	Pattern  string       `yaml:"pattern"`
	Unit     string       `yaml:"unit"`
	Choices  choicesDoc   `yaml:"choices"`
	Class    string       `yaml:"class"`
	Release  treatmentDoc `yaml:"release"`
}

type deidDoc struct {
	Profile             string            `yaml:"profile"`
	Pseudonym           string            `yaml:"pseudonym"`
	Dates               string            `yaml:"dates"`
	WholeWeeks          bool              `yaml:"whole_weeks"`
	Truncate            bool              `yaml:"truncate"`
	MissedLag           *time.Duration    `yaml:"missed_lag"`
	MinReleaseInterval  time.Duration     `yaml:"min_release_interval"`
	MinSite             int               `yaml:"min_site"`
	Hierarchies         pairs[[]levelDoc] `yaml:"hierarchies"`
	ExpertDetermination expertDoc         `yaml:"expert_determination"`
	Risk                riskDoc           `yaml:"risk"`
}

type expertDoc struct {
	Document string `yaml:"document"`
	Expert   string `yaml:"expert"`
	Date     string `yaml:"date"`
	Expires  string `yaml:"expires"`
	SHA256   string `yaml:"sha256"`
}

type riskDoc struct {
	Quasi       []string `yaml:"quasi"`
	K           *int     `yaml:"k"`
	L           *int     `yaml:"l"`
	MaxRisk     shareDoc `yaml:"max_risk"`
	Sensitive   []string `yaml:"sensitive"`
	SuppressMax shareDoc `yaml:"suppress_max"`
	OnFailure   string   `yaml:"on_failure"`
}

type releasesDoc struct {
	Schedule  string `yaml:"schedule"`
	Approvals struct {
		Required int      `yaml:"required"`
		Roles    []string `yaml:"roles"`
	} `yaml:"approvals"`
	To       []string       `yaml:"to"`
	Analysis []parameterDoc `yaml:"analysis"`
}
