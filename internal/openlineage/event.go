package openlineage

import "time"

// The part of OpenLineage 2-0-2 that is used. A facet names its own schema.
type event struct {
	EventType string    `json:"eventType"` // START, COMPLETE, FAIL or ABORT
	EventTime string    `json:"eventTime"`
	Run       run       `json:"run"`
	Job       job       `json:"job"`
	Inputs    []dataset `json:"inputs"`
	Outputs   []dataset `json:"outputs"`
	Producer  string    `json:"producer"`
	SchemaURL string    `json:"schemaURL"`
}

type run struct {
	RunID  string         `json:"runId"`
	Facets map[string]any `json:"facets"`
}

type job struct {
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"`
	Facets    map[string]any `json:"facets,omitempty"`
}

type dataset struct {
	Namespace    string         `json:"namespace"`
	Name         string         `json:"name"`
	Facets       map[string]any `json:"facets,omitempty"`
	InputFacets  map[string]any `json:"inputFacets,omitempty"`
	OutputFacets map[string]any `json:"outputFacets,omitempty"`
}

// base is what every facet has.
type base struct {
	Producer  string `json:"_producer"`
	SchemaURL string `json:"_schemaURL"`
}

type parentFacet struct {
	base
	Run struct {
		RunID string `json:"runId"`
	} `json:"run"`
	Job job `json:"job"`
}

type engineFacet struct {
	base
	Version string `json:"version"`
	Name    string `json:"name"`
}

type errorFacet struct {
	base
	Message  string `json:"message"`
	Language string `json:"programmingLanguage"`
}

type jobTypeFacet struct {
	base
	Processing  string `json:"processingType"`
	Integration string `json:"integration"`
	JobType     string `json:"jobType"`
}

type schemaFacet struct {
	base
	Fields []schemaField `json:"fields"`
}

type schemaField struct {
	Name        string `json:"name"`
	Type        string `json:"type,omitempty"`
	Description string `json:"description,omitempty"`
	Position    int    `json:"ordinal_position"`
}

type columnFacet struct {
	base
	Fields map[string]columnInputs `json:"fields"`
}

type columnInputs struct {
	InputFields []inputField `json:"inputFields"`
}

type inputField struct {
	Namespace       string           `json:"namespace"`
	Name            string           `json:"name"`
	Field           string           `json:"field"`
	Transformations []transformation `json:"transformations"`
}

type transformation struct {
	Type        string `json:"type"`
	Subtype     string `json:"subtype"`
	Description string `json:"description,omitempty"`
	Masking     bool   `json:"masking"`
}

type statisticsFacet struct {
	base
	Rows  int64 `json:"rowCount"`
	Bytes int64 `json:"size,omitempty"`
	Files int64 `json:"fileCount,omitempty"`
}

type versionFacet struct {
	base
	Version string `json:"datasetVersion"`
}

type storageFacet struct {
	base
	Layer  string `json:"storageLayer"`
	Format string `json:"fileFormat"`
}

const (
	eventSchema = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
	producer    = "urn:longitude"
)

// facet is the base of the facet of a name, in a version of its schema.
func facet(version, name string) base {
	return base{producer, "https://openlineage.io/spec/facets/" + version + "/" + name + ".json#/$defs/" + name}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
