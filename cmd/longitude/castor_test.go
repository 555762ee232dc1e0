//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"longitude/internal/edctest/castor"
	"longitude/study"
)

// castorPoints are the values of one participant, of whom the weight at month 3 was
// not measured.
func castorPoints(i int, weight string) []castor.Point {
	when := time.Date(2026, 1, 5, 9, 30, 0, 0, time.UTC)
	return []castor.Point{
		{Field: "BL-DATE", Value: "05-01-2026", Updated: when}, {Field: "BL-SYS", Value: fmt.Sprint(110 + i), Updated: when},
		{Field: "BL-WT", Value: weight, Updated: when}, {Field: "BL-SMOKE", Value: "1", Updated: when},
		{Field: "M3-DATE", Value: "07-04-2026", Updated: when}, {Field: "M3-SYS", Value: "128", Updated: when}, {Field: "M3-WT", Value: "-95"},
	}
}

// The example of configs/castor, run against a Castor EDC: everything arrives once,
// a correction arrives as one, an archived record goes, and a token that has ended is
// replaced.
func TestCastorExample(t *testing.T) {
	server := &castor.Server{}
	address, closing := server.Start()
	t.Cleanup(closing)
	var records []castor.Record
	for i := range 30 {
		records = append(records, castor.Record{ID: fmt.Sprintf("%06d", 110001+i), Institute: []string{"TES", "AMS"}[i%2], Status: "open", Points: castorPoints(i, "71.5")})
	}
	records = append(records, castor.Record{ID: "119999", Institute: "TES", Status: "open"}) // nothing was entered yet: 404
	server.Set(records)

	x := newTrial(t, filepath.Join("..", "..", "configs", "castor"))
	x.must(os.Mkdir(x.path("secrets"), 0o700))
	x.write("secrets/castor_client_id", castor.ClientID)
	x.write("secrets/castor_client_secret", castor.ClientSecret)
	for _, name := range []string{"castor-values.yaml", "castor-records.yaml"} {
		x.edit(name, "https://data.castoredc.com", address)
		x.edit(name, "web: {per_minute: 60}", "web: {per_minute: 0, allow: [127.0.0.1]}")
	}
	x.run(study.ExitOK, "check")
	syncs := func() map[string]syncResult {
		var results []syncResult
		x.answer(study.ExitOK, &results, "sync")
		by := map[string]syncResult{}
		for _, r := range results {
			if rows, left := r.Counts.Unaccounted(); rows != 0 || left != 0 || r.Error != "" {
				t.Errorf("%s: %d rows and %d records unaccounted, error %q", r.Source, rows, left, r.Error)
			}
			by[r.Source] = r
		}
		return by
	}
	first := syncs()
	if v, r := first["castor-values"], first["castor-records"]; v.Objects != 30 || v.Counts.Accepted != 60 || r.Objects != 1 || r.Counts.Accepted != 31 {
		t.Errorf("first: %+v\n%+v", v, r)
	}
	visits := x.query(`SELECT visit_type, actual, count(*) FROM research.visit_version GROUP BY 1, 2 ORDER BY 1`)
	if got := fmt.Sprint(visits); got != "[[baseline 2026-01-05 30] [month_3 2026-04-07 30]]" {
		t.Errorf("visits %s", got)
	}
	server.Expire()
	for name, r := range syncs() {
		if r.Objects != 0 || r.Counts != (study.Counts{}) {
			t.Errorf("%s: nothing is new, and %+v came", name, r)
		}
	}
	records[3].Points, records[4].Archived = castorPoints(3, "72.0"), true
	again := syncs()
	if v, r := again["castor-values"], again["castor-records"]; v.Objects != 1 || v.Counts.Accepted != 1 || v.Counts.Unchanged != 1 || r.Objects != 1 {
		t.Errorf("a correction: %+v\n%+v", v, r)
	}
	if strings.Contains(x.said.String(), castor.ClientSecret) {
		t.Error("the secret was said")
	}
}
