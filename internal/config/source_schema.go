package config

import "time"

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
		Type        string   `yaml:"type"`
		Delimiter   *string  `yaml:"delimiter"`
		Quote       *string  `yaml:"quote"`
		Escape      string   `yaml:"escape"`
		Comment     string   `yaml:"comment"`
		SkipLines   int      `yaml:"skip_lines"`
		Encoding    string   `yaml:"encoding"`
		Header      *bool    `yaml:"header"`
		Names       []string `yaml:"names"`
		DecimalMark string   `yaml:"decimal_mark"`
		Table       string   `yaml:"table"`
		Records     string   `yaml:"records"`
	} `yaml:"format"`
	Drift struct {
		NewColumn     string `yaml:"new_column"`
		MissingColumn string `yaml:"missing_column"`
		TypeChange    string `yaml:"type_change"`
	} `yaml:"drift"`
	Precedence  int32     `yaml:"precedence"`
	Snapshot    string    `yaml:"snapshot"`
	MaxRemoved  *shareDoc `yaml:"max_removed"`
	MaxRejected limitDoc  `yaml:"max_rejected"`
	Map         mapDoc    `yaml:"map"`
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
		Repeat  pickDoc           `yaml:"repeat"`
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
	StatusDate   pickDoc               `yaml:"status_date"`
	Consent      pickDoc               `yaml:"consent"`
	ChangeReason pickDoc               `yaml:"change_reason"`
	Deleted      whenDoc               `yaml:"deleted"`
	Forms        pairs[formMappingDoc] `yaml:"forms"`
}

type formMappingDoc struct {
	Occurrence pickDoc        `yaml:"occurrence"`
	When       whenDoc        `yaml:"when"`
	Pivot      pivotDoc       `yaml:"pivot"`
	Fields     pairs[pickDoc] `yaml:"fields"`
}

type whenDoc struct {
	Column string   `yaml:"column"`
	In     []string `yaml:"in"`
}

type pivotDoc struct {
	Code  columnDoc `yaml:"code"`
	Field columnDoc `yaml:"field"`
	Value columnDoc `yaml:"value"`
}

type pickDoc struct {
	Column  string            `yaml:"column"`
	Value   *string           `yaml:"value"`
	Expr    string            `yaml:"expr"`
	Code    string            `yaml:"code"`
	Trim    bool              `yaml:"trim"`
	Unit    string            `yaml:"unit"`
	Format  string            `yaml:"format"`
	Scale   string            `yaml:"scale"`
	Values  map[string]string `yaml:"values"`
	Missing map[string]string `yaml:"missing"`
}
