package config

import (
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// The documents as written. Names follow the keys; meaning and defaults are given
// in study.go and source.go, which turn them into the vocabulary of package study.

type serviceDoc struct {
	Service struct {
		Database    Database   `yaml:"database"`
		DataDir     string     `yaml:"data_dir"`
		Landing     string     `yaml:"landing"`
		Keys        string     `yaml:"keys"`
		Listen      string     `yaml:"listen"`
		AdminListen string     `yaml:"admin_listen"`
		Workers     int        `yaml:"workers"`
		Access      accessDoc  `yaml:"access"`
		Lineage     lineageDoc `yaml:"lineage"`
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
	CodePrefix       string         `yaml:"code_prefix"`
	Timezone         string         `yaml:"timezone"`
	Days             string         `yaml:"days"`
	Enrolment        enrolmentDoc   `yaml:"enrolment"`
	Consent          consentDoc     `yaml:"consent"`
	Deviations       deviationsDoc  `yaml:"deviations"`
	Visits           []visitDoc     `yaml:"visits"`
	Forms            pairs[formDoc] `yaml:"forms"`
	Deidentification deidDoc        `yaml:"deidentification"`
	Releases         releasesDoc    `yaml:"releases"`
}

type deviationsDoc struct {
	LateEntryDays    *int   `yaml:"late_entry_days"`
	FormGraceDays    *int   `yaml:"form_grace_days"`
	VisitOutOfWindow string `yaml:"visit_out_of_window"`
}

type visitDoc struct {
	Name     string        `yaml:"name"`
	Label    string        `yaml:"label"`
	Number   string        `yaml:"number"`
	Aliases  []string      `yaml:"aliases"`
	Day      *int          `yaml:"day"`
	Window   []int         `yaml:"window"`
	Anchor   string        `yaml:"anchor"`
	Required *bool         `yaml:"required"`
	Forms    visitFormsDoc `yaml:"forms"`
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
	Name     string     `yaml:"name"`
	Label    string     `yaml:"label"`
	Type     string     `yaml:"type"`
	Required bool       `yaml:"required"`
	Range    rangeDoc   `yaml:"range"`
	Pattern  string     `yaml:"pattern"`
	Unit     string     `yaml:"unit"`
	Choices  choicesDoc `yaml:"choices"`
	Class    string     `yaml:"class"`
}

type deidDoc struct {
	Profile             string         `yaml:"profile"`
	Pseudonym           string         `yaml:"pseudonym"`
	Dates               string         `yaml:"dates"`
	MissedLag           *time.Duration `yaml:"missed_lag"`
	MinReleaseInterval  time.Duration  `yaml:"min_release_interval"`
	ExpertDetermination struct {
		Document string `yaml:"document"`
		Expert   string `yaml:"expert"`
		Date     string `yaml:"date"`
		Expires  string `yaml:"expires"`
		SHA256   string `yaml:"sha256"`
	} `yaml:"expert_determination"`
	Risk struct {
		Quasi       []string `yaml:"quasi"`
		K           int      `yaml:"k"`
		L           int      `yaml:"l"`
		Sensitive   []string `yaml:"sensitive"`
		SuppressMax float64  `yaml:"suppress_max"`
	} `yaml:"risk"`
}

type releasesDoc struct {
	Schedule  string `yaml:"schedule"`
	Approvals struct {
		Required int      `yaml:"required"`
		Roles    []string `yaml:"roles"`
	} `yaml:"approvals"`
	To []string `yaml:"to"`
}

type sourceDoc struct {
	Source    string       `yaml:"source"`
	Study     string       `yaml:"study"`
	Connector connectorDoc `yaml:"connector"`
	Schedule  struct {
		Cron     string        `yaml:"cron"`
		Timezone string        `yaml:"timezone"`
		Jitter   time.Duration `yaml:"jitter"`
		CatchUp  string        `yaml:"catch_up"`
	} `yaml:"schedule"`
	Retry struct {
		Attempts *int           `yaml:"attempts"`
		Initial  *time.Duration `yaml:"initial"`
		Max      *time.Duration `yaml:"max"`
	} `yaml:"retry"`
	Format struct {
		Type        string  `yaml:"type"`
		Delimiter   *string `yaml:"delimiter"`
		Encoding    string  `yaml:"encoding"`
		Header      *bool   `yaml:"header"`
		DecimalMark string  `yaml:"decimal_mark"`
	} `yaml:"format"`
	Drift struct {
		NewColumn     string `yaml:"new_column"`
		MissingColumn string `yaml:"missing_column"`
		TypeChange    string `yaml:"type_change"`
	} `yaml:"drift"`
	Snapshot   string  `yaml:"snapshot"`
	MaxRemoved float64 `yaml:"max_removed"`
	Map        mapDoc  `yaml:"map"`
}

type mapDoc struct {
	Participant struct {
		Column    string `yaml:"column"`
		Namespace string `yaml:"namespace"`
	} `yaml:"participant"`
	Site  pickDoc `yaml:"site"`
	Visit struct {
		Column  string            `yaml:"column"`
		Value   *string           `yaml:"value"`
		By      string            `yaml:"by"`
		Aliases map[string]string `yaml:"aliases"`
	} `yaml:"visit"`
	VisitDate    pickDoc               `yaml:"visit_date"`
	VisitDay     pickDoc               `yaml:"visit_day"`
	PlannedDate  pickDoc               `yaml:"planned_date"`
	BaselineDate pickDoc               `yaml:"baseline_date"`
	Reason       pickDoc               `yaml:"reason"`
	Modified     pickDoc               `yaml:"modified"`
	Entered      pickDoc               `yaml:"entered"`
	Author       pickDoc               `yaml:"author"`
	Withdrawal   pickDoc               `yaml:"withdrawal"`
	Status       pickDoc               `yaml:"status"`
	Consent      pickDoc               `yaml:"consent"`
	ChangeReason pickDoc               `yaml:"change_reason"`
	Forms        pairs[formMappingDoc] `yaml:"forms"`
}

type formMappingDoc struct {
	Occurrence pickDoc `yaml:"occurrence"`
	When       struct {
		Column string   `yaml:"column"`
		In     []string `yaml:"in"`
	} `yaml:"when"`
	Fields pairs[pickDoc] `yaml:"fields"`
}

type pickDoc struct {
	Column  string            `yaml:"column"`
	Value   *string           `yaml:"value"`
	Format  string            `yaml:"format"`
	Scale   string            `yaml:"scale"`
	Values  map[string]string `yaml:"values"`
	Missing map[string]string `yaml:"missing"`
}

// connectorDoc keeps the connector's own keys unread until its type is known.
type connectorDoc struct {
	Type string
	keys []entry
}

func (c *connectorDoc) decode(d *document, path string, n ast.Node) {
	c.keys = d.entries(path, n)
	if i := indexOf(c.keys, "type"); i >= 0 {
		c.Type, _ = d.text(c.keys[i].path, c.keys[i].value, "text")
		c.keys = slices.Delete(c.keys, i, i+1)
	}
}

// enrolmentDoc is first_seen, roster or {form: …}.
type enrolmentDoc struct{ Kind, Form string }

func (e *enrolmentDoc) decode(d *document, path string, n ast.Node) {
	if text, ok := scalarText(n); ok {
		e.Kind = d.oneOf(path, text, "first_seen", "roster")
		return
	}
	var long struct {
		Form string `yaml:"form"`
	}
	d.read(path, n, &long)
	d.need(path+".form", long.Form)
	e.Kind, e.Form = "form", long.Form
}

// consentDoc is external or {form: …, field: …}.
type consentDoc struct{ Kind, Form, Field string }

func (c *consentDoc) decode(d *document, path string, n ast.Node) {
	if text, ok := scalarText(n); ok {
		c.Kind = d.oneOf(path, text, "external")
		return
	}
	var long struct {
		Form    string `yaml:"form"`
		Field   string `yaml:"field"`
		Version string `yaml:"version"`
		Scope   string `yaml:"scope"`
	}
	d.read(path, n, &long)
	d.need(path+".form", long.Form)
	d.need(path+".field", long.Field)
	c.Kind, c.Form, c.Field = "form", long.Form, long.Field
}

// visitFormsDoc is a list of forms, all required, or a mapping from form to how
// much it matters.
type visitFormsDoc pairs[string]

func (v *visitFormsDoc) decode(d *document, path string, n ast.Node) {
	if n.Type() == ast.SequenceType {
		var list []string
		d.read(path, n, &list)
		for _, form := range list {
			*v = append(*v, pair[string]{form, "required"})
		}
		return
	}
	(*pairs[string])(v).decode(d, path, n)
	for _, p := range *v {
		d.oneOf(path+"."+p.Key, p.Value, "critical", "required", "optional")
	}
}

// choicesDoc is a list of codes, or a mapping from code to label.
type choicesDoc pairs[string]

func (c *choicesDoc) decode(d *document, path string, n ast.Node) {
	if n.Type() == ast.SequenceType {
		var list []string
		d.read(path, n, &list)
		for _, code := range list {
			*c = append(*c, pair[string]{code, code})
		}
		return
	}
	(*pairs[string])(c).decode(d, path, n)
}

// rangeDoc is [low, high], both inclusive; null leaves an end open.
type rangeDoc struct {
	low, high string
	written   bool
}

func (r *rangeDoc) decode(d *document, path string, n ast.Node) {
	list, ok := n.(*ast.SequenceNode)
	if !ok || len(list.Values) != 2 {
		d.errorf(path, "config.wrong_type", "", "range must be a list of two ends, such as [0, 80]")
		return
	}
	for i, end := range []*string{&r.low, &r.high} {
		if list.Values[i].Type() != ast.NullType {
			*end, _ = d.text(path, list.Values[i], "a list of two ends")
		}
	}
	r.written = true
}
