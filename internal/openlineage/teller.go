package openlineage

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"longitude/internal/lineage"
	"longitude/study"
)

// Run is a run that began or ended, as it is recorded.
type Run struct {
	ID        string // UUID
	Kind      string // sync, replay, rejudge or release
	Study     string
	Source    string // "" = of none
	State     string // running, succeeded, failed or interrupted
	At        time.Time
	Error     string // why it failed, without anything of the data
	Objects   int
	Counts    study.Counts
	Published []Publication
}

// Publication is what a run made visible in one sink.
type Publication struct {
	Release  string
	Location string // URL
	Sizes    []study.TableSize
}

// Described is what is known of a study beside its runs.
type Described struct {
	Study   *study.Study
	Sources []*study.Source
	Tables  []*study.Table // as released
}

// Teller puts runs into events. All runs of one invocation have it as their parent.
type Teller struct {
	Software   string
	Invocation string // UUID of this process's work
	Command    string // e.g. "release build"
	Studies    []Described
}

// namespace is of our jobs, and of the datasets that are not published.
const namespace = "longitude"

// Tell is the event of a run, in the one form that is delivered.
func (t *Teller) Tell(r Run) ([]byte, error) {
	e := event{EventType: eventType(r.State), EventTime: stamp(r.At), Run: run{RunID: r.ID, Facets: t.runFacets(r)}, Job: jobOf(r),
		Inputs: []dataset{}, Outputs: []dataset{}, Producer: producer, SchemaURL: eventSchema}
	if i := slices.IndexFunc(t.Studies, func(d Described) bool { return d.Study.Name == r.Study }); i >= 0 {
		e.Inputs, e.Outputs = t.Studies[i].datasets(r)
	}
	return json.Marshal(e)
}

func eventType(state string) string {
	switch state {
	case "running":
		return "START"
	case "succeeded":
		return "COMPLETE"
	case "interrupted":
		return "ABORT"
	}
	return "FAIL"
}

func (t *Teller) runFacets(r Run) map[string]any {
	parent := parentFacet{base: facet("1-2-0", "ParentRunFacet"), Job: job{Namespace: namespace, Name: strings.ReplaceAll(t.Command, " ", ".")}}
	parent.Run.RunID = t.Invocation
	facets := map[string]any{"parent": parent,
		"processing_engine": engineFacet{facet("1-1-1", "ProcessingEngineRunFacet"), t.Software, "Longitude"}}
	if r.Error != "" {
		facets["errorMessage"] = errorFacet{facet("1-0-1", "ErrorMessageRunFacet"), r.Error, "Go"}
	}
	return facets
}

func jobOf(r Run) job {
	name := r.Study + "." + r.Kind
	if r.Source != "" {
		name += "." + r.Source
	}
	return job{namespace, name, map[string]any{"jobType": jobTypeFacet{facet("2-0-4", "JobTypeJobFacet"), "BATCH", "LONGITUDE", "JOB"}}}
}

func (d *Described) datasets(r Run) (in, out []dataset) {
	switch r.Kind {
	case "sync", "replay":
		for _, src := range d.Sources {
			if src.Name == r.Source {
				return []dataset{d.source(src, r)}, d.recorded(src, r)
			}
		}
	case "rejudge":
		return []dataset{d.records()}, []dataset{d.internal("visits")}
	case "release":
		in = []dataset{d.records(), d.internal("visits"), d.internal("participants")}
		for _, p := range r.Published {
			out = append(out, d.published(p)...)
		}
	}
	return append([]dataset{}, in...), append([]dataset{}, out...)
}

// internal is a dataset that is in our database.
func (d *Described) internal(name string) dataset {
	return dataset{Namespace: namespace, Name: d.Study.Name + "." + name}
}

func (d *Described) records() dataset { return d.internal("records") }

func sourceName(s *study.Study, src *study.Source) string { return s.Name + ".source." + src.Name }

func formName(s *study.Study, form string) string { return s.Name + ".form." + form }

// source is what a source delivers: the columns that the mapping reads.
func (d *Described) source(src *study.Source, r Run) dataset {
	var fields []schemaField
	for _, c := range lineage.Mapped(d.Study, src) {
		if c.From != "" && !slices.ContainsFunc(fields, func(f schemaField) bool { return f.Name == c.From }) {
			fields = append(fields, schemaField{Name: c.From, Position: len(fields) + 1})
		}
	}
	set := dataset{Namespace: namespace, Name: sourceName(d.Study, src), Facets: map[string]any{"schema": schemaFacet{facet("1-2-0", "SchemaDatasetFacet"), fields}}}
	if r.State != "running" {
		set.InputFacets = map[string]any{"inputStatistics": statisticsFacet{facet("1-0-0", "InputStatisticsInputDatasetFacet"), r.Counts.Read, 0, int64(r.Objects)}}
	}
	return set
}

// recorded is what a source's objects become: participants, the forms that the
// mapping feeds, and all records together, of which the number is known.
func (d *Described) recorded(src *study.Source, r Run) []dataset {
	mapped := lineage.Mapped(d.Study, src)
	participants := d.internal("participants")
	participants.Facets = map[string]any{"columnLineage": columnFacet{facet("1-2-0", "ColumnLineageDatasetFacet"), map[string]columnInputs{}}}
	out := []dataset{}
	for i := range d.Study.Forms {
		if set, ok := d.form(&d.Study.Forms[i], src, mapped); ok {
			out = append(out, set)
		}
	}
	for _, c := range mapped {
		if c.Form == "" && c.From != "" {
			participants.Facets["columnLineage"].(columnFacet).Fields[c.Field] = columnInputs{[]inputField{d.input(src, c)}}
		}
	}
	all := d.records()
	if r.State != "running" {
		all.OutputFacets = map[string]any{"outputStatistics": statisticsFacet{facet("1-0-2", "OutputStatisticsOutputDatasetFacet"), r.Counts.Accepted, 0, 0}}
	}
	return append(out, participants, all)
}

// form is one form with the fields that a source fills; ok is false where it fills none.
func (d *Described) form(f *study.Form, src *study.Source, mapped []lineage.Column) (_ dataset, ok bool) {
	var fields []schemaField
	from := map[string]columnInputs{}
	for i := range f.Fields {
		fields = append(fields, schemaField{f.Fields[i].Name, string(f.Fields[i].Type), f.Fields[i].Label, i + 1})
	}
	for _, c := range mapped {
		if c.Form == f.Name {
			ok = true
			if c.From != "" {
				from[c.Field] = columnInputs{append(from[c.Field].InputFields, d.input(src, c))}
			}
		}
	}
	return dataset{Namespace: namespace, Name: formName(d.Study, f.Name), Facets: map[string]any{
		"schema":        schemaFacet{facet("1-2-0", "SchemaDatasetFacet"), fields},
		"columnLineage": columnFacet{facet("1-2-0", "ColumnLineageDatasetFacet"), from}}}, ok
}

func (d *Described) input(src *study.Source, c lineage.Column) inputField {
	return inputField{namespace, sourceName(d.Study, src), c.From, []transformation{direct(c.Read, c.Read == lineage.AsItIs, c.Masking)}}
}

// direct is a value that is made of the input's; masking says what is done so that
// the input cannot be told from it.
func direct(how string, same bool, masking string) transformation {
	t := transformation{Type: "DIRECT", Subtype: "TRANSFORMATION", Description: how, Masking: masking != "" && masking != lineage.Kept}
	switch {
	case t.Masking:
		t.Description = masking
	case same:
		t.Subtype = "IDENTITY"
	}
	return t
}

// published are the tables of a release in one sink.
func (d *Described) published(p Publication) []dataset {
	var out []dataset
	for _, t := range d.Tables {
		var fields []schemaField
		from := map[string]columnInputs{}
		for i, c := range t.Columns {
			fields = append(fields, schemaField{c.Name, c.Kind.String(), c.Description, i + 1})
			switch same := c.Transform == "identity"; {
			case c.Form != "" && c.Field != "":
				from[c.Name] = columnInputs{[]inputField{{namespace, formName(d.Study, c.Form), c.Field, []transformation{direct(c.Transform, same, c.Masking)}}}}
			case c.Class == study.ParticipantKey:
				from[c.Name] = columnInputs{[]inputField{{namespace, d.Study.Name + ".participants", "participant", []transformation{direct("", false, c.Masking)}}}}
			}
		}
		set := placed(p.Location, t.Name)
		set.Facets = map[string]any{
			"schema":        schemaFacet{facet("1-2-0", "SchemaDatasetFacet"), fields},
			"columnLineage": columnFacet{facet("1-2-0", "ColumnLineageDatasetFacet"), from},
			"version":       versionFacet{facet("1-0-1", "DatasetVersionDatasetFacet"), p.Release},
			"storage":       storageFacet{facet("1-0-1", "StorageDatasetFacet"), "file", "parquet"}}
		if i := slices.IndexFunc(p.Sizes, func(s study.TableSize) bool { return s.Table == t.Name }); i >= 0 {
			s := p.Sizes[i]
			set.OutputFacets = map[string]any{"outputStatistics": statisticsFacet{facet("1-0-2", "OutputStatisticsOutputDatasetFacet"), s.Rows, s.Bytes, s.Files}}
		}
		out = append(out, set)
	}
	return out
}

// placed names a table by where it is published, as OpenLineage names files and buckets.
func placed(location, table string) dataset {
	u, err := url.Parse(location)
	if err != nil || u.Scheme == "" || u.Scheme == "file" {
		path := strings.TrimPrefix(location, "file://")
		return dataset{Namespace: "file", Name: strings.TrimSuffix(path, "/") + "/data/" + table}
	}
	return dataset{Namespace: u.Scheme + "://" + u.Host, Name: strings.Trim(u.Path, "/") + "/data/" + table}
}
