//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longitude/internal/edctest/fhir"
	"longitude/study"
)

// putPerson gives the server a participant with two visits.
func putPerson(s *fhir.Server, id string, systolic int) {
	s.Put(fmt.Sprintf(`{"resourceType":"Patient","id":%q,"gender":"female","identifier":[{"system":"https://hospital.example/mrn","value":"MRN-%s"}]}`, id, id))
	s.Put(fmt.Sprintf(`{"resourceType":"ResearchSubject","id":"s-%s","status":"on-study","individual":{"reference":"Patient/%s"}}`, id, id))
	for visit, day := range []string{"2026-01-05T09:30:00+01:00", "2026-04-04"} {
		putPressure(s, id, visit, day, systolic, "final")
		s.Put(fmt.Sprintf(`{"resourceType":"QuestionnaireResponse","id":"q-%s-%d","questionnaire":"https://hospital.example/Questionnaire/vision|1","status":"completed","subject":{"reference":"Patient/%s"},
			"authored":%q,"item":[{"linkId":"group","item":[{"linkId":"letters","answer":[{"valueInteger":70}]},{"linkId":"glasses","answer":[{"valueBoolean":true}]}]}]}`, id, visit, id, day))
	}
}

func putPressure(s *fhir.Server, id string, visit int, day string, systolic int, status string) {
	s.Put(fmt.Sprintf(`{"resourceType":"Observation","id":"bp-%s-%d","status":%q,"subject":{"reference":"Patient/%s"},"effectiveDateTime":%q,
		"code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},"component":[
		{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":%d,"code":"mm[Hg]"}},
		{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},"dataAbsentReason":{"coding":[{"code":"not-performed"}]}}]}`, id, visit, status, id, day, systolic))
}

// The example of configs/fhir, run against a FHIR server: everything arrives once, a
// correction arrives as one, what was entered in error goes, and so does who leaves
// the group.
func TestFHIRExample(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	server := fhir.New()
	server.Client = &fhir.Client{ID: "longitude", Key: &key.PublicKey, Kid: "2026-01"}
	address := fhir.Start(t, server)
	var members []string
	for i := range 30 {
		members = append(members, fmt.Sprintf("p%02d", i))
		putPerson(server, members[i], 110+i)
	}
	putPerson(server, "stranger", 100)
	server.Group("amd-study", members...)

	x := newTrial(t, filepath.Join("..", "..", "configs", "fhir"))
	x.must(os.Mkdir(x.path("secrets"), 0o700))
	x.write("secrets/fhir_key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	x.edit("fhir-export.yaml", "https://ehr.example.org/fhir", address)
	x.edit("fhir-export.yaml", "roster: group ", "web: {per_minute: 0, allow: [127.0.0.1]}\n  poll: 5ms\n  roster: group ")
	x.run(study.ExitOK, "check")
	sync := func() study.Counts {
		var results []syncResult
		x.answer(study.ExitOK, &results, "sync")
		if len(results) != 1 || results[0].Error != "" {
			t.Fatalf("%+v", results)
		}
		c := results[0].Counts
		if rows, left := c.Unaccounted(); rows != 0 || left != 0 {
			t.Errorf("%d rows and %d records unaccounted", rows, left)
		}
		return c
	}
	if c := sync(); c.Accepted != 180 || c.RowsQuarantined+c.Quarantined+c.Held != 0 {
		t.Errorf("first: %+v; want two log forms and four of visits for each of 30", c)
	}
	if c := sync(); c.Accepted != 0 {
		t.Errorf("nothing is new, and %+v came", c)
	}
	putPressure(server, "p03", 0, "2026-01-05", 155, "amended")
	putPressure(server, "p04", 1, "2026-04-04", 114, "entered-in-error")
	server.Group("amd-study", members[1:]...)
	if c := sync(); c.Accepted != 2 || c.Removed != 6 {
		t.Errorf("%+v; want a correction and what was entered in error, and the six records of who left", c)
	}
	if gone := x.query(`SELECT count(*) FROM research.record_version WHERE op = 'd'`); fmt.Sprint(gone) != "[[7]]" {
		t.Errorf("%v records went; want seven", gone)
	}
	if strings.Contains(x.said.String(), "MRN-") || strings.Contains(x.said.String(), "PRIVATE") {
		t.Error("an identifier or the key was said")
	}
}

// What discover writes of a server's questionnaires can be run as it stands.
func TestDiscoveredQuestionnaires(t *testing.T) {
	server := fhir.New()
	server.Put(`{"resourceType":"Questionnaire","id":"vision","title":"Vision","status":"active","item":[
		{"linkId":"letters","text":"ETDRS letters","type":"integer"},{"linkId":"glasses","text":"Glasses worn","type":"boolean"}]}`)
	address := fhir.Start(t, server)
	putPerson(server, "p1", 120)
	dir := t.TempDir()
	code := run(t.Context(), []string{"discover", "--type", "fhir", "--set", "url=" + address, "--set", "types=[QuestionnaireResponse]", "--set", "poll=5ms",
		"--set", "web.allow=[127.0.0.1]", "--set", "web.per_minute=0", "--study", "vision", "--write", dir}, t.Output(), t.Output())
	if code != study.ExitOK {
		t.Fatalf("discover: exit %d", code)
	}
	x := newTrial(t, dir)
	x.run(study.ExitOK, "check")
	var results []syncResult
	x.answer(study.ExitOK, &results, "sync")
	if len(results) != 1 || results[0].Error != "" || results[0].Counts.Accepted != 2 {
		t.Errorf("%+v; want two answered questionnaires", results)
	}
}
