//go:build unix

package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longitude/internal/edctest/rave"
	"longitude/study"
)

// chart is what is entered of one subject in Rave, as the audits tell it: item by item.
type chart struct {
	server *rave.Server
	uuid   string
	at     time.Time
}

func (c *chart) record(a rave.Audit) {
	c.at = c.at.Add(time.Second)
	a.Subject, a.Site, a.At = c.uuid, "1001", c.at
	c.server.Record(a)
}

func (c *chart) enter(event, form, item string, value *string) {
	c.record(rave.Audit{Event: event, Repeat: event + "[1]", Form: form, Item: form + "." + item, Value: value})
}

// The example of configs/rave, run against a Rave server: what is entered item by item
// becomes records, a query changes nothing, a correction changes what it names, what
// is emptied is empty, a log line that is removed goes, and a new label is nobody new.
func TestRaveExample(t *testing.T) {
	const password = "of-the-rave-account"
	server := rave.NewServer("Mediflex(Prod)", "longitude", password)
	server.PerPage = 7 // records begin on one page and end on another
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	var charts []*chart
	for i := range 6 {
		c := &chart{server, fmt.Sprintf("9f3b7c40-0000-4000-8000-%012d", i), time.Date(2026, 3, 1, 9, i, 0, 0, time.UTC)}
		charts = append(charts, c)
		c.record(rave.Audit{Subcategory: "SubjectCreated", Name: fmt.Sprintf("100 %03d", i)})
		c.enter("SCREEN", "VISIT", "VISDT", rave.Text("05 JAN 2026"))
		c.enter("SCREEN", "VS", "SBP", rave.Text(fmt.Sprint(120+i)))
		c.enter("SCREEN", "VS", "DBP", rave.Text("80"))
		c.enter("SCREEN", "VS", "REMARK", rave.Text("seen at home"))
		c.record(rave.Audit{Subcategory: "QueryOpen", Event: "SCREEN", Repeat: "SCREEN[1]", Form: "VS", Item: "VS.SBP",
			Inside: `<mdsol:Query QueryRepeatKey="1" Value="Sure?" Status="Open" Recipient="Site from System"/>`})
		for line := range 2 {
			c.record(rave.Audit{Event: "SUBJECT", Form: "AE", Group: "AE_LOG_LINE", Line: fmt.Sprint(line + 1), Item: "AE.SEV", Value: rave.Text("1")})
		}
	}

	x := newTrial(t, filepath.Join("..", "..", "configs", "rave"))
	x.must(os.Mkdir(x.path("secrets"), 0o700))
	x.write("secrets/rave_password", password)
	x.edit("rave-audits.yaml", "https://mediflex.mdsol.com", web.URL)
	x.edit("rave-audits.yaml", "web: {per_minute: 60}", "web: {per_minute: 0, allow: [127.0.0.1]}")
	x.run(study.ExitOK, "check")
	sync := func(exit int) study.Counts {
		t.Helper()
		var results []syncResult
		x.answer(exit, &results, "sync")
		if rows, left := results[0].Counts.Unaccounted(); rows != 0 || left != 0 || results[0].Error != "" {
			t.Errorf("%d rows and %d records unaccounted, error %q", rows, left, results[0].Error)
		}
		return results[0].Counts
	}
	// What vital signs and adverse events say now, without their remarks.
	says := func() string {
		return fmt.Sprint(x.query(`SELECT f.name, replace(replace(replace(answers, E'\x1f', '|'), E'\x1e', '-'), E'\x1a', '*'), coalesce(findings, ''), count(*)
			FROM research.record_current JOIN research.form f USING (form_id) WHERE op = 'u' AND f.name <> 'visit_date' GROUP BY 1, 2, 3 ORDER BY 1, 2`))
	}
	if c := sync(study.ExitOK); c.Read != 6*6 || c.Quarantined+c.RowsQuarantined+c.Held != 0 {
		t.Errorf("%+v", c)
	}
	if got, want := says(), "[[adverse_event -|1  12] [vital_signs 120|80|*  1] [vital_signs 121|80|*  1] [vital_signs 122|80|*  1] [vital_signs 123|80|*  1] [vital_signs 124|80|*  1] [vital_signs 125|80|*  1]]"; got != want {
		t.Errorf("at first:\n%s\n%s", got, want)
	}
	if got := fmt.Sprint(x.query(`SELECT visit_type, actual, count(*) FROM research.visit_current WHERE actual IS NOT NULL GROUP BY 1, 2`)); got != "[[baseline 2026-01-05 6]]" {
		t.Errorf("visits %s", got)
	}
	if c := sync(study.ExitOK); c != (study.Counts{}) {
		t.Errorf("nothing is new, and %+v came", c)
	}

	charts[0].enter("SCREEN", "VS", "SBP", rave.Text("75"))   // below the diastolic
	charts[1].enter("SCREEN", "VS", "DBP", rave.Text(""))     // emptied
	charts[2].enter("SCREEN", "VS", "SBP", nil)               // shown: nothing is said of its value
	charts[3].enter("SCREEN", "VS", "SBP", rave.Text("high")) // no number
	charts[4].record(rave.Audit{Subcategory: "SubjectNameChanged", Name: "100 999"})
	charts[5].record(rave.Audit{Subcategory: "Inactivated", Event: "SUBJECT", Form: "AE", Group: "AE_LOG_LINE", Line: "2", Remove: true})
	if c := sync(study.ExitRejections); c.Read != 4 || c.Accepted != 3 || c.Quarantined != 1 {
		t.Errorf("%+v", c)
	}
	if got, want := says(), "[[adverse_event -|1  11] [vital_signs 121|-|* diastolic:required 1] [vital_signs 122|80|*  1] [vital_signs 123|80|*  1] [vital_signs 124|80|*  1] "+
		"[vital_signs 125|80|*  1] [vital_signs 75|80|* diastolic_below_systolic:check 1]]"; got != want {
		t.Errorf("later:\n%s\n%s", got, want)
	}
	if n := fmt.Sprint(x.query(`SELECT count(*) FROM research.participant`)); n != "[[6]]" {
		t.Errorf("%s participants", n)
	}
	before := says()
	x.run(study.ExitOK, "replay", "rave-audits", "--all")
	if after := says(); after != before {
		t.Errorf("read again:\n%s\n%s", after, before)
	}
	if strings.Contains(x.said.String(), password) {
		t.Error("the password was said")
	}
}
