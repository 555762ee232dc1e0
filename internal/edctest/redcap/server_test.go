package redcap

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"longitude/internal/publishedtest"
)

const token = "0123456789ABCDEF0123456789ABCDEF"

// made is a small project: two events, an instrument that repeats, boxes, a group.
func made() *Project {
	p := &Project{ID: 7, Title: "Made up", MissingCodes: "UNK, Unknown",
		Fields: []Field{
			{Name: "study_id", Form: "vitals", Type: "text"},
			{Name: "visit_date", Form: "vitals", Type: "text", Validation: "date_ymd"},
			{Name: "race", Form: "vitals", Type: "checkbox", Choices: "1, A | -4, B"},
			{Name: "term", Form: "ae", Type: "notes", Identifier: "y"},
		},
		Forms: []Form{{"vitals", "Vitals"}, {"ae", "Adverse events"}}, Surveys: []string{"ae"},
		Arms: []Arm{{1, "One"}}, Events: []Event{{Name: "Visit 1", Unique: "visit_1_arm_1", Arm: 1, ID: 3}, {Name: "Visit 2", Unique: "visit_2_arm_1", Arm: 1, ID: 4}},
		Mappings: []Mapping{{1, "visit_1_arm_1", "vitals"}, {1, "visit_2_arm_1", "vitals"}, {1, "visit_1_arm_1", "ae"}},
		Repeats:  []Repeat{{Event: "visit_1_arm_1", Form: "ae"}}, Groups: []Group{{"North", "north", 1}},
	}
	p.Put("10", "north", Row{Event: "visit_1_arm_1", Values: map[string]string{"visit_date": "2024-03-05", "race____4": "1", "vitals_complete": "2"}})
	p.Put("10", "", Row{Event: "visit_1_arm_1", Instrument: "ae", Instance: 1, Values: map[string]string{"term": "a \"quote\"\nand a line"}})
	p.Put("2", "", Row{Event: "visit_2_arm_1", Values: map[string]string{"visit_date": "2024-04-05"}})
	return p
}

// ask answers one request.
func ask(t *testing.T, address string, pairs ...string) (status int, body string) {
	t.Helper()
	form := url.Values{"token": {token}, "format": {"json"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.PostForm(address, form) //nolint:noctx // our own server
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

func TestRecords(t *testing.T) {
	address := Start(t, NewServer(made(), token))
	for _, c := range []struct {
		name  string
		pairs []string
		want  string
	}{
		{"flat", []string{"exportBlankForGrayFormStatus", "true", "exportDataAccessGroups", "true"},
			`[{"study_id":"2","redcap_event_name":"visit_2_arm_1","redcap_repeat_instrument":"","redcap_repeat_instance":"","redcap_data_access_group":"","visit_date":"2024-04-05","race___1":"0","race____4":"0","race___unk":"0","vitals_complete":"0","term":"","ae_complete":""},` +
				`{"study_id":"10","redcap_event_name":"visit_1_arm_1","redcap_repeat_instrument":"","redcap_repeat_instance":"","redcap_data_access_group":"north","visit_date":"2024-03-05","race___1":"0","race____4":"1","race___unk":"0","vitals_complete":"2","term":"","ae_complete":""},` +
				`{"study_id":"10","redcap_event_name":"visit_1_arm_1","redcap_repeat_instrument":"ae","redcap_repeat_instance":1,"redcap_data_access_group":"north","visit_date":"","race___1":"","race____4":"","race___unk":"","vitals_complete":"","term":"a \"quote\"\nand a line","ae_complete":"0"}]`},
		{"one record, its field, PHP's array", []string{"records[0]", "2", "fields[0]", "study_id", "fields[1]", "visit_date"},
			`[{"study_id":"2","redcap_event_name":"visit_2_arm_1","redcap_repeat_instrument":"","redcap_repeat_instance":"","visit_date":"2024-04-05"}]`},
		{"without the identifier its row says not whose it is", []string{"records", "2", "fields", "visit_date"}, `[{"visit_date":"2024-04-05"}]`},
		{"eav", []string{"type", "eav", "records", "10", "forms", "vitals"},
			`[{"record":"10","redcap_event_name":"visit_1_arm_1","redcap_repeat_instrument":"","redcap_repeat_instance":"","field_name":"study_id","value":"10"},` +
				`{"record":"10","redcap_event_name":"visit_1_arm_1","redcap_repeat_instrument":"","redcap_repeat_instance":"","field_name":"visit_date","value":"2024-03-05"},` +
				`{"record":"10","redcap_event_name":"visit_1_arm_1","redcap_repeat_instrument":"","redcap_repeat_instance":"","field_name":"race","value":"-4"},` +
				`{"record":"10","redcap_event_name":"visit_1_arm_1","redcap_repeat_instrument":"","redcap_repeat_instance":"","field_name":"vitals_complete","value":"2"},` +
				`{"record":"10","redcap_event_name":"visit_1_arm_1","redcap_repeat_instrument":"ae","redcap_repeat_instance":1,"field_name":"study_id","value":"10"}]`},
		{"filtered", []string{"filterLogic", `[race(-4)] = "1" and [visit_date] > "2024-01-01"`, "fields", "study_id"},
			`[{"study_id":"10","redcap_event_name":"visit_1_arm_1","redcap_repeat_instrument":"","redcap_repeat_instance":""}]`},
		{"of nobody", []string{"records", "99"}, `[]`},
		{"nothing in CSV is nothing", []string{"records", "99", "format", "csv"}, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := ask(t, address, append(c.pairs, "content", "record")...)
			if status != 200 || body != c.want {
				t.Errorf("%d\n%s\nwant\n%s", status, body, c.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	classic := made()
	classic.Events, classic.Repeats = nil, nil
	for _, c := range []struct {
		project *Project
		pairs   []string
		status  int
		want    string
	}{
		{made(), []string{"token", "X", "content", "record"}, 403, `{"error":"You do not have permissions to use the API"}`},
		{made(), []string{"token", "X", "content", "record", "returnFormat", "csv"}, 403, `ERROR: You do not have permissions to use the API`},
		{made(), []string{"content", "records"}, 400, `{"error":"The value of the parameter \"content\" is not valid"}`},
		{made(), []string{"content", "record", "fields", "nothing"}, 400, `{"error":"The following values in the parameter fields are not valid: 'nothing'"}`},
		{made(), []string{"content", "record", "filterLogic", "[a"}, 400, `{"error":"The filterLogic could not be parsed"}`},
		{made(), []string{"content", "record", "action", "delete", "records", "2"}, 403, `{"error":"You do not have Delete Record privileges"}`},
		{made(), []string{"content", "record", "data", "[]"}, 403, `{"error":"You do not have API Import/Update privileges"}`},
		{classic, []string{"content", "event"}, 400, `{"error":"You cannot export events for classic projects"}`},
		{classic, []string{"content", "repeatingFormsEvents", "returnFormat", "xml"}, 400, `<?xml version="1.0" encoding="UTF-8" ?><hash><error>You cannot export repeating instruments and events because the project does not contain any repeating instruments and events</error></hash>`},
	} {
		if status, body := ask(t, Start(t, NewServer(c.project, token)), c.pairs...); status != c.status || body != c.want {
			t.Errorf("%v: %d %s", c.pairs, status, body)
		}
	}
}

func TestChangedSince(t *testing.T) {
	p := made()
	now := time.Date(2024, 7, 1, 10, 0, 0, 0, time.UTC)
	p.Zone = time.FixedZone("server", 2*3600)
	p.Now = func() time.Time { return now }
	p.Put("3", "", Row{Event: "visit_1_arm_1", Values: map[string]string{"visit_date": "2024-05-05"}})
	address := Start(t, NewServer(p, token))
	for begin, want := range map[string]string{"2024-07-01 11:59:59": `[{"study_id":"3"`, "2024-07-01 12:00:00": `[]`} {
		p.mu.Lock()
		p.records["2"].modified, p.records["10"].modified = now.Add(-time.Hour), now.Add(-time.Hour)
		p.mu.Unlock()
		if _, body := ask(t, address, "content", "record", "fields", "study_id", "dateRangeBegin", begin); !strings.HasPrefix(body, want) {
			t.Errorf("since %s: %s", begin, body)
		}
	}
}

func TestRights(t *testing.T) {
	s := NewServer(made(), token)
	address := Start(t, s)
	s.Grant(token, &Access{Hidden: []string{"ae"}, Group: "north"})
	if _, body := ask(t, address, "content", "record"); strings.Contains(body, "term") || strings.Contains(body, `"2"`) && !strings.Contains(body, `"10"`) {
		t.Errorf("a member of a group without right on a form sees %s", body)
	}
	s.Grant(token, &Access{Deidentified: true})
	if _, body := ask(t, address, "content", "record"); strings.Contains(body, "term") || strings.Contains(body, "visit_date") || strings.Contains(body, `"10"`) {
		t.Errorf("de-identified rights see %s", body)
	}
	s.Grant(token, nil)
	if status, _ := ask(t, address, "content", "version"); status != 403 {
		t.Errorf("a token without rights: %d", status)
	}
}

func TestFaults(t *testing.T) {
	s := NewServer(made(), token)
	address := Start(t, s)
	s.MaxCells = 20
	if status, body := ask(t, address, "content", "record"); status != 200 || !strings.HasSuffix(body, memory) {
		t.Errorf("more cells than memory: %d %s", status, body)
	}
	if _, body := ask(t, address, "content", "record", "fields", "study_id"); !strings.HasPrefix(body, `[{`) {
		t.Errorf("fewer cells: %s", body)
	}
	s.Fail(2, Login)
	if _, body := ask(t, address, "content", "version"); body != "14.7.3" {
		t.Error(body)
	}
	if _, body := ask(t, address, "content", "version"); !strings.HasPrefix(body, "<!DOCTYPE") {
		t.Error(body)
	}
	s.PerMinute = 1
	if _, err := http.PostForm(address, url.Values{}); err == nil { //nolint:noctx // our own server, which hangs up
		t.Error("whoever asks too often is answered")
	}
}

func TestLog(t *testing.T) {
	s := NewServer(made(), token)
	address := Start(t, s)
	s.Project.Delete("2")
	_, body := ask(t, address, "content", "log", "logtype", "record_delete")
	var rows []map[string]string
	if err := json.Unmarshal([]byte(body), &rows); err != nil || len(rows) != 1 || rows[0]["record"] != "2" {
		t.Errorf("%s", body)
	}
	s.Version = "13.4.8"
	if _, body = ask(t, address, "content", "log", "logtype", "record_delete"); strings.Contains(body, `"record":`) {
		t.Errorf("an old version: %s", body)
	}
}

// Every published project is served as its own data file says.
func TestPublished(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(publishedtest.Data(t), "redcapr-test-projects", "*", "data.csv"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			p, err := Folder(filepath.Dir(file))
			if err != nil {
				t.Fatal(err)
			}
			want, err := readCSV(file)
			if err != nil {
				t.Fatal(err)
			}
			_, body := ask(t, Start(t, NewServer(p, token)), "content", "record", "format", "csv", "exportSurveyFields", "true", "exportDataAccessGroups", "true")
			got, err := csv.NewReader(strings.NewReader(body)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, want)
		})
	}
}

// compare compares two exports as sets of rows, each by its columns' names.
func compare(t *testing.T, got, want [][]string) {
	t.Helper()
	rows := func(table [][]string) map[string]int {
		out := map[string]int{}
		for i := 1; i < len(table); i++ {
			cells := map[string]string{}
			for k, value := range table[i] {
				if value != "" {
					cells[table[0][k]] = value
				}
			}
			var line strings.Builder
			for _, name := range slices.Sorted(maps.Keys(cells)) {
				line.WriteString(name + "=" + strings.ReplaceAll(cells[name], "\r", "") + "\x1f")
			}
			out[line.String()]++
		}
		return out
	}
	a, b := rows(got), rows(want)
	missing := 0
	for line, n := range b {
		if a[line] != n {
			missing++
		}
	}
	if missing > 0 || len(a) != len(b) {
		t.Errorf("%d rows served of %d; %d of the file's are not served so", len(a), len(b), missing)
	}
}
