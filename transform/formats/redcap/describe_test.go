package redcap

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longitude/internal/config"
	"longitude/study"
	"longitude/transform"
	"longitude/transform/formats/json"
)

var update = flag.Bool("update", false, "write the golden files again")

// dictionary is one field of each kind, with the other parts of a longitudinal
// project that repeats a form and an event.
var dictionary = []study.Metadata{
	{Name: "project", Bytes: []byte(`{"project_id":14,"project_title":"Made \"up\"","missing_data_codes":"UNK, Unknown | NASK, Not asked | REF, Refused","scheduling_enabled":1}`)},
	{Name: "metadata", Bytes: []byte(`[
{"field_name":"record_id","form_name":"demographics","field_type":"text","field_label":"Record ID"},
{"field_name":"dob","form_name":"demographics","field_type":"text","field_label":"Date of birth","text_validation_type_or_show_slider_number":"date_dmy","identifier":"y"},
{"field_name":"email","form_name":"demographics","field_type":"text","field_label":"E-mail","text_validation_type_or_show_slider_number":"email"},
{"field_name":"zip","form_name":"demographics","field_type":"text","field_label":"ZIP","text_validation_type_or_show_slider_number":"zipcode"},
{"field_name":"sex","form_name":"demographics","field_type":"radio","field_label":"<b>Sex</b>","select_choices_or_calculations":"0, Female | 1, Male, or so | UNK, not said","required_field":"y"},
{"field_name":"race","form_name":"demographics","field_type":"checkbox","field_label":"Race","select_choices_or_calculations":"1, A | -4, B"},
{"field_name":"photo","form_name":"demographics","field_type":"file","field_label":"Photo"},
{"field_name":"hello","form_name":"demographics","field_type":"descriptive","field_label":"Hello"},
{"field_name":"visit_date","form_name":"vitals","field_type":"text","field_label":"Visit date","text_validation_type_or_show_slider_number":"date_ymd","required_field":"y","text_validation_min":"2020-01-01"},
{"field_name":"sbp","form_name":"vitals","field_type":"text","field_label":"Systolic","text_validation_type_or_show_slider_number":"integer","text_validation_min":"40","text_validation_max":"300"},
{"field_name":"weight","form_name":"vitals","field_type":"text","field_label":"Weight","text_validation_type_or_show_slider_number":"number_1dp_comma_decimal","text_validation_max":"[limit]","required_field":"y","branching_logic":"[sbp] > 1"},
{"field_name":"bmi","form_name":"vitals","field_type":"calc","field_label":"BMI","select_choices_or_calculations":"[weight]/2"},
{"field_name":"at","form_name":"vitals","field_type":"text","field_label":"At","text_validation_type_or_show_slider_number":"datetime_seconds_mdy"},
{"field_name":"from","form_name":"vitals","field_type":"text","field_label":"From","text_validation_type_or_show_slider_number":"datetime_mdy"},
{"field_name":"clock","form_name":"vitals","field_type":"text","field_label":"Clock","text_validation_type_or_show_slider_number":"time"},
{"field_name":"well","form_name":"vitals","field_type":"yesno","field_label":"Well?"},
{"field_name":"pain","form_name":"vitals","field_type":"slider","field_label":"Pain","select_choices_or_calculations":"none | some | much"},
{"field_name":"ae_term","form_name":"ae_log","field_type":"notes","field_label":"Term"}]`)},
	{Name: "instrument", Bytes: []byte(`[{"instrument_name":"demographics","instrument_label":"Demographics"},{"instrument_name":"vitals","instrument_label":"Vitals"},{"instrument_name":"ae_log","instrument_label":"Adverse events"}]`)},
	{Name: "exportFieldNames", Bytes: []byte(`[{"original_field_name":"race","choice_value":"1","export_field_name":"race___1"},{"original_field_name":"race","choice_value":"-4","export_field_name":"race____4"}]`)},
	{Name: "event", Bytes: []byte(`[{"event_name":"Baseline","arm_num":1,"unique_event_name":"baseline_arm_1","event_id":1,"day_offset":1,"offset_min":0,"offset_max":0},
{"event_name":"Month 1","arm_num":1,"unique_event_name":"month_1_arm_1","event_id":2,"day_offset":31,"offset_min":7,"offset_max":14},
{"event_name":"Month 3","arm_num":1,"unique_event_name":"month_3_arm_1","event_id":3,"day_offset":91,"offset_min":0,"offset_max":0},
{"event_name":"Phone call","arm_num":1,"unique_event_name":"phone_call_arm_1","event_id":4,"day_offset":100,"offset_min":0,"offset_max":0}]`)},
	{Name: "formEventMapping", Bytes: []byte(`[{"arm_num":1,"unique_event_name":"baseline_arm_1","form":"demographics"},{"arm_num":1,"unique_event_name":"baseline_arm_1","form":"vitals"},
{"arm_num":1,"unique_event_name":"month_1_arm_1","form":"vitals"},{"arm_num":1,"unique_event_name":"month_3_arm_1","form":"vitals"},{"arm_num":1,"unique_event_name":"phone_call_arm_1","form":"vitals"},
{"arm_num":1,"unique_event_name":"month_1_arm_1","form":"ae_log"}]`)},
	{Name: "repeatingFormsEvents", Bytes: []byte(`[{"event_name":"month_1_arm_1","form_name":"ae_log","custom_form_label":""},{"event_name":"phone_call_arm_1","form_name":"","custom_form_label":""}]`)},
	{Name: "dag", Bytes: []byte(`[{"data_access_group_name":"North","unique_group_name":"north","data_access_group_id":1}]`)},
	{Name: "project_xml", Bytes: []byte(`<ODM xmlns:redcap="x"><Study><GlobalVariables><redcap:SurveysGroup><redcap:Surveys form_name="ae_log"/></redcap:SurveysGroup></GlobalVariables></Study></ODM>`)},
}

var rows = `[{"record_id":"1","redcap_event_name":"baseline_arm_1","redcap_repeat_instrument":"","redcap_repeat_instance":"","redcap_data_access_group":"north","dob":"1980-02-03","email":"a@b.example","zip":"46202","sex":"1","race___1":"0","race____4":"1","photo":"p.png","demographics_complete":"2","visit_date":"2024-03-05","sbp":"121","weight":"70.5","bmi":"35.25","at":"2024-03-05 10:11:12","from":"2024-03-05 10:11","clock":"10:11","well":"UNK","pain":"50","vitals_complete":"0","ae_log_timestamp":"","ae_term":"","ae_log_complete":""},
{"record_id":"1","redcap_event_name":"month_1_arm_1","redcap_repeat_instrument":"ae_log","redcap_repeat_instance":2,"redcap_data_access_group":"north","dob":"","email":"","zip":"","sex":"","race___1":"","race____4":"","photo":"","demographics_complete":"","visit_date":"","sbp":"","weight":"","bmi":"","at":"","from":"","clock":"","well":"","pain":"","vitals_complete":"","ae_log_timestamp":"[not completed]","ae_term":"rash","ae_log_complete":"0"},
{"record_id":"1","redcap_event_name":"phone_call_arm_1","redcap_repeat_instrument":"","redcap_repeat_instance":3,"redcap_data_access_group":"north","dob":"","email":"","zip":"","sex":"","race___1":"","race____4":"","photo":"","demographics_complete":"","visit_date":"","sbp":"NASK","weight":"","bmi":"","at":"","from":"","clock":"","well":"","pain":"","vitals_complete":"1","ae_log_timestamp":"","ae_term":"","ae_log_complete":""}]`

// A project is described as was reviewed, and what is described maps its rows: a form
// from each row that has its status, repeats by their numbers.
func TestDescribe(t *testing.T) {
	d, err := Format{}.Describe(t.Context(), "demo", dictionary)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "described.yaml")
	got := string(d.Study) + "---\n" + string(d.Source)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || got != string(want) {
		t.Errorf("%v; described as\n%s", err, got)
	}
	out := mapped(t, d, rows)
	var records []string
	for i := range out.Drafts {
		r := &out.Drafts[i]
		records = append(records, strings.Join([]string{[]string{"demographics", "vitals", "ae_log"}[r.Form], r.Visit.Key, r.Occurrence, r.Site}, " "))
	}
	want := "demographics baseline_arm_1 1 north|vitals baseline_arm_1 1 north|ae_log month_1_arm_1 2 north|vitals phone_call_arm_1/3 1 north"
	if strings.Join(records, "|") != want || len(out.Rejections) > 0 {
		t.Errorf("%s; %d rejected; want %s", strings.Join(records, "|"), len(out.Rejections), want)
	}
}

// mapped maps text with described documents, which must be valid.
func mapped(t *testing.T, d *transform.Description, text string) *transform.Mapped {
	t.Helper()
	format := Format{JSON: json.Format{}}
	dir := t.TempDir()
	for file, doc := range map[string][]byte{"study.yaml": d.Study, "source.yaml": append(d.Source, "connector: {type: folder, path: \"in/*.json\"}\n"...)} {
		if err := os.WriteFile(filepath.Join(dir, file), doc, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, findings := config.Load(dir, config.Options{Formats: map[string]func(study.FormatSpec) map[string]string{"redcap": format.Check},
		CheckExpr: transform.CheckExpr, CheckCross: transform.CheckCross, CheckPick: transform.CheckPick, CheckUnits: transform.CheckUnits})
	for _, f := range findings {
		if f.Severity == config.Error {
			t.Error(f.String())
		}
	}
	if len(c.Studies) != 1 || len(c.Sources) != 1 || t.Failed() {
		t.FailNow()
	}
	m, problems := transform.NewMapper(c.Studies[0], &c.Sources[0].Source)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	spec, out := c.Sources[0].Format, &transform.Mapped{}
	spec.Columns = m.Columns()
	for rows, err := range format.Decode(t.Context(), spec, strings.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Bind(rows.Columns); err != nil {
			t.Fatal(err)
		}
		m.Map(rows, out)
	}
	m.Finish(out)
	return out
}

// A column that was taken away does not read as empty.
func TestVanishedColumn(t *testing.T) {
	d, err := Format{}.Describe(t.Context(), "demo", dictionary)
	if err != nil {
		t.Fatal(err)
	}
	_ = mapped(t, d, "[]")
	for rows, err := range (Format{JSON: json.Format{}}).Decode(t.Context(), study.FormatSpec{Columns: []string{"a", "b"}}, strings.NewReader(`[{"a":"1","c":2}]`)) {
		if err != nil || strings.Join(rows.Columns, " ") != "a c" || string(rows.Row(0)[1]) != "2" {
			t.Errorf("%v, %v", rows, err)
		}
	}
}

func TestDescribeErrors(t *testing.T) {
	for name, c := range map[string]struct {
		metadata []study.Metadata
		want     string
	}{
		"nothing":   {nil, "redcap.no_fields"},
		"no fields": {[]study.Metadata{{Name: "metadata", Bytes: []byte(`[]`)}}, "redcap.no_fields"},
		"no JSON":   {[]study.Metadata{{Name: "metadata", Bytes: []byte(`[{"field_name":"SECRET"`)}}, "redcap.metadata"},
		"no XML":    {[]study.Metadata{{Name: "project_xml", Bytes: []byte(`<a>SECRET`)}}, "redcap.metadata"},
	} {
		var e *study.Error
		_, err := Format{}.Describe(context.Background(), "demo", c.metadata)
		if !errors.As(err, &e) || e.Code != c.want || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	f := Format{JSON: json.Format{}}
	if wrong := f.Check(study.FormatSpec{Type: "redcap"}); len(wrong) > 0 {
		t.Error(wrong)
	}
	if wrong := f.Check(study.FormatSpec{Type: "redcap", Records: "/data", Delimiter: ";"}); len(wrong) != 2 {
		t.Error(wrong)
	}
}

// FuzzDescribe looks for dictionaries that are described by documents which are not valid.
func FuzzDescribe(f *testing.F) {
	f.Add(dictionary[0].Bytes, dictionary[1].Bytes, dictionary[4].Bytes)
	f.Add([]byte(`{}`), []byte(`[{"field_name":"Ä","form_name":"x","field_type":"radio","select_choices_or_calculations":"|,|1,a"}]`), []byte(`[{"unique_event_name":"x","day_offset":"9999999999999"}]`))
	f.Fuzz(func(t *testing.T, about, fields, events []byte) {
		d, err := Format{}.Describe(t.Context(), "demo", []study.Metadata{{Name: "project", Bytes: about}, {Name: "metadata", Bytes: fields}, {Name: "event", Bytes: events},
			dictionary[3], dictionary[5], dictionary[6]})
		if err == nil {
			_ = mapped(t, d, "[]")
		}
	})
}
