//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longitude/internal/edctest/openclinica"
	"longitude/study"
)

// vitals is a form of vital signs that was filled in at a visit.
func vitals(event, day, version, systolic, symptoms string) openclinica.Event {
	return openclinica.Event{OID: event, Start: day, Forms: []openclinica.Form{{OID: "F_VITALS_" + version, Items: []openclinica.Item{
		{Group: "IG_A", OID: "I_VITALS_SBP", Value: systolic}, {Group: "IG_B", OID: "I_VITALS_DBP", Value: "80"}, {Group: "IG_C", OID: "I_VITALS_SYMPTOMS", Value: symptoms}}}}}
}

// The example of configs/openclinica, run against an OpenClinica server: visits have
// the days on which they began, both versions of a form are that form, a second pull
// brings nothing, a correction is one, and what was removed or forgotten goes. Who was
// born when is in no record.
func TestOpenClinicaExample(t *testing.T) {
	const password = "of-the-openclinica-account"
	server := openclinica.NewServer(3, "S_DEMO", "longitude", password)
	server.Metadata = `<MetaDataVersion OID="v1.0.0" Name="1"><FormDef OID="F_VITALS_V10" Name="Vitals"/><ItemDef OID="I_VITALS_SBP" Name="SBP" DataType="integer"/>` +
		`<ItemDef OID="I_VITALS_DBP" Name="DBP" DataType="integer"/><ItemDef OID="I_VITALS_SYMPTOMS" Name="SYMPTOMS" DataType="text"/></MetaDataVersion>`
	address := openclinica.Start(t, server)
	subjects := make([]openclinica.Subject, 20)
	for i := range subjects {
		subjects[i] = openclinica.Subject{Label: fmt.Sprintf("MRN-%03d", i), Site: []string{"S_NORTH", "S_SOUTH"}[i%2], DateOfBirth: "1961-07-09",
			Events: []openclinica.Event{vitals("SE_BASELINE", "2026-01-05 09:30:00.0", "V10", fmt.Sprint(120+i), "1,3"), vitals("SE_MONTH1", "2026-02-05", "V20", "130", "")}}
		server.Put(subjects[i])
	}
	x := newTrial(t, filepath.Join("..", "..", "configs", "openclinica"))
	x.must(os.Mkdir(x.path("secrets"), 0o700))
	x.write("secrets/openclinica_password", password)
	x.edit("openclinica.yaml", "https://edc.example.org", address)
	x.edit("openclinica.yaml", "web: {per_minute: 60}", "web: {per_minute: 0, allow: [127.0.0.1]}")
	x.run(study.ExitOK, "check")
	sync := func() study.Counts {
		t.Helper()
		c := x.sync(study.ExitOK).Counts
		if rows, left := c.Unaccounted(); rows != 0 || left != 0 {
			t.Errorf("%d rows and %d records unaccounted", rows, left)
		}
		return c
	}
	if c := sync(); c.Read != 40 || c.Accepted != 40 {
		t.Errorf("at first %+v", c)
	}
	if got := fmt.Sprint(x.query(`SELECT visit_type, actual, count(*) FROM research.visit_current GROUP BY 1, 2 ORDER BY 1`)); got != "[[baseline 2026-01-05 20] [month_1 2026-02-05 20]]" {
		t.Errorf("visits %s", got)
	}
	says := func() string {
		return fmt.Sprint(x.query(`SELECT replace(replace(answers, E'\x1f', '/'), E'\x1e', '-'), coalesce(findings, ''), count(*)
			FROM research.record_current WHERE op = 'u' AND NOT answers LIKE E'1__\x1f%' GROUP BY 1, 2 ORDER BY 1`))
	}
	if n := x.number(`SELECT count(*) FROM research.record_current WHERE answers LIKE E'1__\x1f80\x1f1,3'`); n != 20 {
		t.Errorf("%d records with two symptoms, want 20", n)
	}
	if c := sync(); c != (study.Counts{}) {
		t.Errorf("nothing is new, and %+v came", c)
	}

	subjects[0].Events[0] = vitals("SE_BASELINE", "2026-01-05 09:30:00.0", "V10", "75", "1")
	subjects[1].Status, subjects[1].Events[0].Forms[0].Status, subjects[1].Events[1].Forms[0].Status = "removed", "invalid", "invalid"
	subjects[2].Events = subjects[2].Events[:1]
	for _, one := range subjects[:3] {
		server.Put(one)
	}
	server.Expire()
	if c := sync(); c.Accepted != 3 || c.Removed != 1 {
		t.Errorf("a correction, two forms that were removed and one that is not there: %+v", c)
	}
	if live := x.live(); live != 37 {
		t.Errorf("%d records are left, want 37", live)
	}
	if n := x.number("SELECT count(*) FROM research.record_current WHERE answers LIKE '%1961%'"); n != 0 {
		t.Errorf("%d records have a date of birth", n)
	}
	before := says()
	if before != "[[75/80/1 diastolic_below_systolic:check 1]]" {
		t.Errorf("the correction: %s", before)
	}
	x.run(study.ExitOK, "replay", "openclinica", "--all")
	if after := says(); after != before {
		t.Errorf("read again:\n%s\n%s", after, before)
	}
	if said := x.said.String(); strings.Contains(said, password) || strings.Contains(said, "MRN-") || strings.Contains(said, "1961") {
		t.Error("the password or somebody was said")
	}
}

// What discover writes of a study's definitions is valid and reaches the study.
func TestDiscoveredOpenClinica(t *testing.T) {
	const password = "of-the-openclinica-account"
	server := openclinica.NewServer(4, "S_DEMO(TEST)", "longitude", password)
	server.Metadata = `<GlobalVariables><StudyName>Made up</StudyName></GlobalVariables><MetaDataVersion OID="v1.0.0" Name="1">` +
		`<Protocol><StudyEventRef StudyEventOID="SE_BL" OrderNumber="1" Mandatory="Yes"/></Protocol>` +
		`<StudyEventDef OID="SE_BL" Name="Baseline" Repeating="No" Type="Scheduled"><FormRef FormOID="F_VS_V1" Mandatory="Yes"/></StudyEventDef>` +
		`<FormDef OID="F_VS_V1" Name="Vitals" Repeating="No"><ItemGroupRef ItemGroupOID="IG_VS" Mandatory="Yes"/></FormDef>` +
		`<ItemGroupDef OID="IG_VS" Name="Vitals" Repeating="No"><ItemRef ItemOID="I_SBP" Mandatory="Yes"/></ItemGroupDef>` +
		`<ItemDef OID="I_SBP" Name="SBP" DataType="integer"/></MetaDataVersion>`
	address := openclinica.Start(t, server)
	t.Setenv("OPENCLINICA_PASSWORD", password)
	dir := t.TempDir()
	code := run(t.Context(), []string{"discover", "--type", "openclinica", "--format", "odm", "--set", "url=" + address + openclinica.Root, "--set", "version=4",
		"--set", "studies=[S_DEMO(TEST)]", "--set", "user=longitude", "--set", "password=${env:OPENCLINICA_PASSWORD}", "--set", "token_url=" + address + openclinica.TokenPath,
		"--set", "web.allow=[127.0.0.1]", "--set", "web.per_minute=0", "--study", "made-up", "--write", dir}, t.Output(), t.Output())
	if code != study.ExitOK {
		t.Fatalf("exit %d", code)
	}
	x := newTrial(t, dir)
	x.run(study.ExitOK, "check")
	text, err := os.ReadFile(filepath.Join(dir, "source.yaml"))
	x.must(err)
	for _, want := range []string{`type: "openclinica"`, "I_SBP", "F_VS_V1", "SE_BL"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the source does not name %s:\n%s", want, text)
		}
	}
}
