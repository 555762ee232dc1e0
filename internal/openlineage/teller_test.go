package openlineage

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"longitude/internal/openlineage/openlineagetest"
	"longitude/study"
)

// told is a study with a field of every treatment.
func told() *Teller {
	s := &study.Study{Name: "amd-obs-01", Forms: []study.Form{{Name: "acuity", Fields: []study.Field{
		{Name: "va", Label: "Acuity", Type: study.Acuity, Class: study.Clinical},
		{Name: "seen_on", Type: study.DateType, Class: study.DateClass},
		{Name: "notes", Type: study.Text, Class: study.FreeText}}}}}
	src := &study.Source{Name: "site-a", Study: s.Name, Map: study.Mapping{
		Participant: study.Pick{Column: "MRN"}, Site: study.Pick{Const: true, Value: "a"},
		Forms: []study.FormMapping{{Form: "acuity", Fields: []study.FieldMapping{
			{Field: "va", Pick: study.Pick{Column: "VA", Scale: "etdrs_letters"}},
			{Field: "seen_on", Pick: study.Pick{Column: "SEEN"}},
			{Field: "notes", Pick: study.Pick{Column: "NOTES"}}}}}}}
	table := &study.Table{Name: "acuity", Columns: []study.Column{
		{Name: "participant_id", Kind: study.TextKind, Class: study.ParticipantKey, Masking: "pseudonym (HMAC-SHA-256, series key)"},
		{Name: "study_day", Kind: study.Int64Kind, Class: study.StudyDate, Masking: "kept"},
		{Name: "va_letters", Kind: study.Int64Kind, Form: "acuity", Field: "va", Transform: "letters", Masking: "kept"},
		{Name: "seen_on_day", Kind: study.Int64Kind, Form: "acuity", Field: "seen_on", Transform: "identity", Masking: "study day"}}}
	return &Teller{Software: "1.2.3", Invocation: "0b4fbe1c-6c65-4bbc-9a3e-0f8f6ed7b0aa", Command: "release build",
		Studies: []Described{{s, []*study.Source{src}, []*study.Table{table}}}}
}

// decoded is what others read in an event.
type decoded struct {
	EventType string
	Run       struct {
		Facets struct{ ErrorMessage *struct{ Message string } }
	}
	Job             struct{ Name string }
	Inputs, Outputs []struct {
		Namespace, Name string
		Facets          struct {
			ColumnLineage struct {
				Fields map[string]struct {
					InputFields []struct {
						Name, Field     string
						Transformations []struct {
							Subtype string
							Masking bool
						}
					}
				}
			}
		}
		InputFacets struct {
			InputStatistics struct{ RowCount, FileCount int64 }
		}
		OutputFacets struct {
			OutputStatistics struct{ RowCount, Size, FileCount int64 }
		}
	}
}

func tell(t *testing.T, r Run) (e decoded) {
	t.Helper()
	r.ID, r.Study, r.At = "6f1d2900-3a55-4a6b-8d52-0d7c7c3a2f10", "amd-obs-01", time.Date(2026, 3, 1, 12, 0, 0, 5000, time.UTC)
	event, err := told().Tell(r)
	if err != nil {
		t.Fatal(err)
	}
	openlineagetest.Check(t, event)
	if err := json.Unmarshal(event, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEveryEventIsOfTheSchema(t *testing.T) {
	types := map[string]string{"running": "START", "succeeded": "COMPLETE", "failed": "FAIL", "interrupted": "ABORT"}
	for _, kind := range []string{"sync", "replay", "rejudge", "release"} {
		for state, want := range types {
			r := Run{Kind: kind, State: state}
			if kind == "sync" || kind == "replay" {
				r.Source = "site-a"
			}
			if state == "failed" {
				r.Error = "the source is out of reach"
			}
			e := tell(t, r)
			if e.EventType != want || !strings.HasPrefix(e.Job.Name, "amd-obs-01."+kind) || (e.Run.Facets.ErrorMessage != nil) != (state == "failed") {
				t.Errorf("%s %s: %+v", kind, state, e)
			}
		}
	}
	tell(t, Run{Kind: "sync", State: "running", Source: "a source that is gone"})
}

func TestSyncTellsWhatItReadAndMasked(t *testing.T) {
	e := tell(t, Run{Kind: "sync", State: "succeeded", Source: "site-a", Objects: 2, Counts: study.Counts{Read: 40, Accepted: 38}})
	if in := e.Inputs[0]; in.Name != "amd-obs-01.source.site-a" || in.InputFacets.InputStatistics.RowCount != 40 || in.InputFacets.InputStatistics.FileCount != 2 {
		t.Errorf("input %+v", in)
	}
	masked := map[string]bool{}
	for _, out := range e.Outputs {
		for field, from := range out.Facets.ColumnLineage.Fields {
			masked[field+"<"+from.InputFields[0].Field] = from.InputFields[0].Transformations[0].Masking
		}
	}
	for field, want := range map[string]bool{"participant<MRN": true, "notes<NOTES": true, "va<VA": false, "seen_on<SEEN": false} {
		if got, there := masked[field]; !there || got != want {
			t.Errorf("%s: told %v, masked %v", field, there, got)
		}
	}
	if all := e.Outputs[len(e.Outputs)-1]; all.Name != "amd-obs-01.records" || all.OutputFacets.OutputStatistics.RowCount != 38 {
		t.Errorf("records: %+v", all)
	}
}

func TestReleaseTellsTablesWithTheirSizes(t *testing.T) {
	sizes := []study.TableSize{{Table: "acuity", Rows: 7, Bytes: 900, Files: 1}}
	e := tell(t, Run{Kind: "release", State: "succeeded", Published: []Publication{
		{"amd_obs_01_r001", "file:///srv/releases/amd_obs_01_r001", sizes}, {"amd_obs_01_r001", "gs://bucket/amd/amd_obs_01_r001", sizes}}})
	if len(e.Outputs) != 2 {
		t.Fatalf("%d outputs", len(e.Outputs))
	}
	if o := e.Outputs[0]; o.Namespace != "file" || o.Name != "/srv/releases/amd_obs_01_r001/data/acuity" || o.OutputFacets.OutputStatistics.Size != 900 {
		t.Errorf("in a folder: %+v", o)
	}
	if o := e.Outputs[1]; o.Namespace != "gs://bucket" || o.Name != "amd/amd_obs_01_r001/data/acuity" {
		t.Errorf("in a bucket: %+v", o)
	}
	fields := e.Outputs[0].Facets.ColumnLineage.Fields
	for column, want := range map[string]struct {
		from   string
		masked bool
	}{"participant_id": {"amd-obs-01.participants participant", true}, "va_letters": {"amd-obs-01.form.acuity va", false}, "seen_on_day": {"amd-obs-01.form.acuity seen_on", true}} {
		f := fields[column].InputFields[0]
		if f.Name+" "+f.Field != want.from || f.Transformations[0].Masking != want.masked {
			t.Errorf("%s: %+v", column, f)
		}
	}
	if _, there := fields["study_day"]; there {
		t.Error("a derived column has a field of one form as its source")
	}
}
