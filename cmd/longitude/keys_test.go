//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"longitude/deid"
	"longitude/internal/audit"
	"longitude/internal/postgres"
	"longitude/study"
)

// Every kind of key is rotated: codes stay, what was sealed opens, what was signed
// verifies, and the log tells of it.
func TestKeysAreRotated(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("first.csv", smallHeader+person("P-1")+acuityRow("P-1", "M1", "10/04/2026", "OS", "seventy"))
	x.sync(study.ExitRejections)
	first := x.release()
	codes := x.query("SELECT code FROM research.participant ORDER BY 1")

	x.run(study.ExitOK, "keys", "rotate", "--kind", "kek")
	x.run(study.ExitOK, "keys", "rotate", "--kind", "sign")
	x.run(study.ExitOK, "keys", "rotate", "--kind", "audit")
	x.run(study.ExitOK, "keys", "rotate", "--kind", "vault")
	x.run(study.ExitUsage, "keys", "rotate", "--kind", "other")
	x.refused(study.ExitUsage, "usage.arguments", nil, "keys", "rotate", "--kind", "sign", "--finish")
	x.refused(study.ExitUsage, "usage.arguments", nil, "keys", "rotate", "--kind", "kek", "--study", "small-01")
	x.run(study.ExitOK, "keys", "create") // nothing to do
	if list := x.table(study.ExitOK, "keys", "list", "--check"); len(list) != 7 {
		t.Errorf("keys: %q", list)
	}

	x.drop("second.csv", smallHeader+person("P-1")+person("P-2")+acuityRow("P-2", "M1", "10/04/2026", "OS", "eighty"))
	x.sync(study.ExitRejections)
	if now := x.query("SELECT code FROM research.participant ORDER BY participant_id"); len(now) != 2 || now[0][0] != codes[0][0] && now[1][0] != codes[0][0] {
		t.Errorf("codes %v became %v", codes, now)
	}
	versions := func(table string, version int) int64 {
		return x.number("SELECT count(*) FROM vault."+table+" WHERE key_version = $1", version)
	}
	if versions("identity", 1) != 1 || versions("identity", 2) != 1 || versions("sealed_value", 1) == 0 {
		t.Errorf("sealed under version 1: %d, 2: %d", versions("identity", 1), versions("identity", 2))
	}
	x.run(study.ExitOK, "keys", "rotate", "--kind", "vault", "--finish")
	for _, table := range []string{"identity", "sealed_value", "quarantined_row", "object_name"} {
		if old, now := versions(table, 1), versions(table, 2); old != 0 || now == 0 {
			t.Errorf("%s: %d boxes are sealed under version 1, %d under 2", table, old, now)
		}
	}
	x.opens()

	second := x.release()
	policy := policyFile(x.path("data"), "small-01")
	for _, r := range []string{first.Publications[0].Location, second.Publications[0].Location} {
		x.run(study.ExitOK, "release", "verify", strings.TrimPrefix(r, "file://"), "--policy", policy)
	}
	x.run(study.ExitOK, "audit", "verify", "--deep", "--policy", x.path("data/policy/audit.tlog-policy"))
	for _, action := range []audit.Action{audit.KeyCreated, audit.KeyRotated, audit.KeyRewrapped, audit.KeyResealed} {
		if list := x.table(study.ExitOK, "audit", "show", "--action", string(action)); len(list) < 2 {
			t.Errorf("no event %s", action)
		}
	}
}

// opens opens what the vault holds of identities.
func (x *trial) opens() {
	x.t.Helper()
	rows := x.query("SELECT blind, box FROM vault.identity ORDER BY participant_id")
	x.inside(func(h *house) {
		for i, row := range rows {
			name, err := deid.OpenIdentity(h.ring, "small-01", study.Digest(row[0].([]byte)), row[1].([]byte))
			if err != nil || name != []string{"P-1", "P-2"}[i] {
				x.t.Errorf("identity %d opens as %q: %v", i, name, err)
			}
		}
	})
}

// A new series gives new ids, the vault knows which is whose, and a revoked one is
// not released in.
func TestSeries(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("first.csv", smallHeader+person("P-1"))
	x.sync(study.ExitOK)
	x.release()
	x.run(study.ExitUsage, "series", "open", "main")
	x.run(study.ExitUsage, "series", "open", "No")
	x.run(study.ExitOK, "series", "open", "s2", "--new-keys")
	x.refused(study.ExitUsage, "series.exists", nil, "series", "open", "s2")
	x.refused(study.ExitUsage, "series.exists", nil, "series", "open", "s2", "--new-keys")
	var list []postgres.Series
	x.answer(study.ExitOK, &list, "series", "list")
	if len(list) != 2 || list[0].State != postgres.SeriesClosed || list[0].Releases != 1 || list[1].State != postgres.SeriesOpen || list[1].KeyVersion != 2 {
		t.Fatalf("%+v", list)
	}
	second := x.release()
	if second.Plan.Previous != "" {
		t.Errorf("the first release of a series follows %s", second.Plan.Previous)
	}
	x.crosswalk(list)
	x.run(study.ExitUsage, "series", "revoke", "s2")
	x.refused(study.ExitUsage, "series.unknown", nil, "series", "revoke", "s9", "--reason", "key_compromise")
	x.run(study.ExitOK, "series", "revoke", "s2", "--reason", "key_compromise")
	x.refused(study.ExitUsage, "series.revoked", nil, "series", "revoke", "s2", "--reason", "key_compromise")
	x.refused(study.ExitBlocked, "series.revoked", []string{"s2"}, "release", "build")
	x.refused(study.ExitBlocked, "series.compromised", []string{"s2"}, "series", "open", "s3")
	x.run(study.ExitOK, "series", "open", "s3", "--new-keys")
	x.release()
}

// crosswalk compares what the vault keeps with the ids that the two series give.
func (x *trial) crosswalk(list []postgres.Series) {
	x.t.Helper()
	row := x.query(`SELECT w.participant_id, w.box, p.code FROM vault.crosswalk w JOIN research.participant p USING (participant_id)`)[0]
	x.inside(func(h *house) {
		before, after, err := deid.OpenCrosswalk(h.ring, "small-01", "s2", row[0].(int64), row[1].([]byte))
		x.must(err)
		for i, want := range []string{before, after} {
			s, err := h.study("small-01")
			x.must(err)
			r, err := h.recipient(s, list[i])
			x.must(err)
			if got := r.Participant(row[2].(string)); got != want {
				x.t.Errorf("series %s gives another id than the crosswalk", list[i].Name)
			}
		}
		if before == after {
			x.t.Error("both series give the same id")
		}
		if _, _, err := deid.OpenCrosswalk(h.ring, "small-01", "s3", row[0].(int64), row[1].([]byte)); codeOf(err) != "deid.box" {
			x.t.Errorf("a pair opens as that of another series: %v", err)
		}
	})
}

// Deliveries are landed in a bucket, and the log is anchored in another place of it
// at each release; a log that was rewritten differs from its anchor.
func TestBuckets(t *testing.T) {
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", PublicHost: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "b"})
	t.Setenv("STORAGE_EMULATOR_HOST", server.URL())
	x := newTrial(t, smallStudy)
	x.must(os.Mkdir(x.path("anchors"), 0o755))
	x.edit("service.yaml", "landing: file:landing", "landing: gs://b/landing\n  anchors: [gs://b/anchors, file:anchors]")
	x.drop("first.csv", smallHeader+person("P-1")+acuityRow("P-1", "M1", "10/04/2026", "OS", "seventy"))
	x.sync(study.ExitRejections)
	x.release()
	x.run(study.ExitOK, "replay", "clinic")
	kept := map[string]int{}
	stored, err := server.ListObjectsWithOptionsPaginated("b", fakestorage.ListOptions{})
	x.must(err)
	for _, o := range stored.Objects {
		kept[strings.Split(o.Name, "/")[0]]++
	}
	files, err := filepath.Glob(x.path("anchors/*.checkpoint"))
	if err != nil || kept["landing"] != 1 || kept["anchors"] != 1 || len(files) != 1 {
		t.Fatalf("kept: %v, anchors %q, %v", kept, files, err)
	}
	x.run(study.ExitOK, "keys", "rotate", "--kind", "sign") // an event
	x.run(study.ExitOK, "audit", "anchor", "gs://b/anchors")
	x.run(study.ExitOK, "audit", "anchor", "gs://b/anchors") // nothing new to anchor
	var report audit.Report
	x.answer(study.ExitOK, &report, "audit", "verify", "--anchors", "gs://b/anchors")
	if report.Anchors != 2 {
		t.Errorf("%d anchors", report.Anchors)
	}
	server.CreateObject(fakestorage.Object{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "b", Name: "anchors/" + anchorName(1_000_000)}, Content: []byte("false")})
	x.answer(study.ExitBlocked, &report, "audit", "verify", "--anchors", "gs://b/anchors")
	if len(report.Findings) != 1 || report.Findings[0].Kind != audit.KindAnchor {
		t.Errorf("a false anchor: %+v", report.Findings)
	}
}
