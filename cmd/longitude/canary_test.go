//go:build unix

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"longitude/internal/canarytest"
	"longitude/internal/edctest/sshd"
	"longitude/internal/localpg"
	"longitude/internal/status"
	"longitude/internal/synth"
	"longitude/study"
)

var canaryParticipants = flag.Int("canary.participants", 2000, "participants of TestNoIdentifierLeaks, beside those of planted identifiers")

// leaks is a whole run on data full of planted identifiers: a study of many
// participants whose remarks and logins identify them, and one whose every
// column, in every type of file, over every connector, does.
type leaks struct {
	*trial
	*hunt
	server *localpg.Cluster
}

// After the run none of the identifiers may be anywhere but in the drops, the
// landing and the vault: not in what any command or page says, not in the
// database, its write-ahead log or its server's log of every statement, not in a
// release, not in a temporary file, not in the name of a file.
func TestNoIdentifierLeaks(t *testing.T) {
	l := newLeaks(t)
	stop := l.watch(l.path("tmp"))
	l.deliver(1)
	l.run(study.ExitOK, "migrate", "--debug")
	l.logStatements()
	l.everything(study.ExitRejections)
	l.deliver(2)
	l.everything(study.ExitRejections)
	l.failing()
	l.pages()
	stop()

	if _, found := l.below(l.path("drop")); found == 0 {
		t.Fatal("the search finds none of the identifiers where they were planted")
	}
	l.text("what the commands said", l.said.Bytes())
	l.database()
	for _, folder := range []string{"data", "landing", "keys", "tmp", "told"} {
		l.files(folder, l.path(folder))
	}
	l.files("the server's files and logs", l.server.Dir())
	l.parquet(l.path("data/releases"))
	l.report()
	l.controls()
}

func newLeaks(t *testing.T) *leaks {
	server := statementServer(t)
	l := &leaks{trial: unmigrated(t, "testdata/canary", server.URL("longitude")), server: server}
	l.hunt = newHunt(t)
	l.edit("service.yaml", "service:\n", "service:\n  lineage: {openlineage: file:told/events.ndjson}\n")
	for _, folder := range []string{"tmp", "told"} {
		l.must(os.Mkdir(l.path(folder), 0o700))
	}
	t.Setenv("TMPDIR", l.path("tmp"))
	l.configureSites("site-a", "site-b", "site-c")
	l.configureTypes()
	return l
}

// configureSites writes the example study with drops in local folders.
func (x *trial) configureSites(sites ...string) {
	x.t.Helper()
	study, err := os.ReadFile("../../configs/amd/amd-obs-01.yaml")
	x.must(err)
	x.write("amd-obs-01.yaml", string(study))
	for _, site := range sites {
		text, err := os.ReadFile("../../configs/amd/sources/" + site + ".yaml")
		x.must(err)
		from, to := strings.Index(string(text), "connector:"), strings.Index(string(text), "schedule:")
		x.write(site+".yaml", string(text[:from])+"connector: {type: folder, path: drop/"+site+"/*.csv, ready: {marker: .done}}\n"+string(text[to:]))
	}
}

// configureTypes writes a source for every type of file, and one more that
// fetches over SFTP.
func (l *leaks) configureTypes() {
	l.t.Helper()
	template, err := os.ReadFile(l.path("source.yaml"))
	l.must(err)
	l.must(os.Remove(l.path("source.yaml")))
	formats := map[string]string{"json": "{type: json, records: /data}"}
	for _, kind := range canarytest.Types {
		format := formats[kind]
		if format == "" {
			format = "{type: " + kind + "}"
		}
		l.must(os.MkdirAll(l.path("drop/"+kind), 0o755))
		l.write(kind+".yaml", strings.NewReplacer("KIND", kind, "FORMAT", format,
			"CONNECTOR", "{type: folder, path: drop/"+kind+"/*."+canarytest.Suffix(kind)+", ready: {marker: .done}}").Replace(string(template)))
	}
	server, err := sshd.Start(l.t.Context(), l.path("drop"))
	if err != nil {
		l.t.Logf("nothing is fetched over SFTP: %v", err)
		return
	}
	l.t.Cleanup(func() { _ = server.Stop() })
	l.write("key", string(server.PrivateKey))
	connector := fmt.Sprintf(`{type: sftp, address: "%s", user: "%s", private_key: "${file:key}", host_key: "%s", path: "%s/csv/*.csv", ready: {marker: .done}}`,
		server.Address, server.User, server.HostKeyFingerprint, server.Root)
	l.write("sftp.yaml", strings.NewReplacer("KIND", "sftp", "FORMAT", "{type: csv}", "CONNECTOR", connector).Replace(string(template)))
}

// deliver writes a delivery and gives its files names that identify, too.
func (l *leaks) deliver(number int) {
	l.t.Helper()
	truth, err := synth.Generate(l.path("drop"), synth.Options{Participants: *canaryParticipants, Sites: 3, Delivery: number})
	l.must(err)
	if len(truth.Canaries) == 0 {
		l.t.Fatal("no identifiers were planted")
	}
	for _, f := range truth.Files {
		path := filepath.Join(l.path("drop"), f.Site, f.Name)
		for _, suffix := range []string{"", ".done"} {
			l.must(os.Rename(path+suffix, filepath.Join(filepath.Dir(path), fmt.Sprintf("ZZCANARY-FILE-Margaret-Thompson-%d-%s", number, f.Name+suffix))))
		}
	}
	for _, kind := range canarytest.Types {
		l.must(canarytest.Plant(l.path("drop/"+kind), kind, number))
	}
}

// everything runs every command that could tell something, as loud as it can.
func (l *leaks) everything(exit int) {
	l.t.Helper()
	l.run(study.ExitRejections, "preview", "site-a", "--objects", "7", "--limit", "1000", "--debug")
	l.run(exit, "sync", "--debug")
	l.run(study.ExitOK, "release", "build", "amd-obs-01", "--as-of", "2026-05-01", "--debug")
	l.run(study.ExitOK, "release", "build", "canary-01", "--as-of", "2026-05-01", "--debug")
	commands := []string{"status", "run list --limit 500", "quarantine list --limit 5000", "deviation list --limit 5000", "release list", "check"}
	for study, prefix := range map[string]string{"amd-obs-01": "AMD", "canary-01": "CNY"} {
		code := l.query("SELECT min(code) FROM research.participant WHERE code LIKE $1", prefix+"-%")[0][0]
		commands = append(commands, fmt.Sprintf("participant timeline %s --study %s", code, study))
	}
	for _, output := range []string{"table", "json", "csv"} {
		for _, command := range commands {
			l.run(study.ExitOK, append(strings.Fields(command), "--output", output, "--debug")...)
		}
	}
}

// failing looks at files that cannot be read, and decides in words that identify.
func (l *leaks) failing() {
	l.t.Helper()
	for _, kind := range canarytest.Types {
		exit := study.ExitFailed
		if kind == "ndjson" { // where a line is broken, not the file
			exit = study.ExitRejections
		}
		l.run(exit, "preview", "canary-"+kind, "--objects", "50", "--debug")
		l.run(study.ExitOK, "drift", "show", "canary-"+kind)
	}
	l.run(study.ExitOK, "run", "list", "--output", "json")
	l.run(study.ExitOK, "drift", "list", "--output", "json")
	for _, class := range canarytest.Classes {
		l.decide(canarytest.Of(class, 15).Text)
	}
}

// decide gives reasons in words that identify.
func (l *leaks) decide(canary string) {
	l.t.Helper()
	var rows []status.QuarantineItem
	l.answer(study.ExitOK, &rows, "quarantine", "list", "--state", "open", "--limit", "2")
	var open []status.DeviationItem
	l.answer(study.ExitOK, &open, "deviation", "list", "--state", "open", "--limit", "1")
	if len(rows) != 2 || len(open) != 1 {
		l.t.Fatalf("%d rows and %d deviations to decide about", len(rows), len(open))
	}
	l.run(study.ExitOK, "deviation", "explain", strconv.FormatInt(open[0].ID, 10), "--reason", "other", "--note", canary, "--debug")
	l.run(study.ExitOK, "quarantine", "waive", strconv.FormatInt(rows[0].ID, 10), "--reason", "other", "--note", canary, "--debug")
	l.run(study.ExitOK, "quarantine", "show", strconv.FormatInt(rows[0].ID, 10))
	l.run(study.ExitOK, "quarantine", "show", strconv.FormatInt(rows[1].ID, 10), "--output", "json")
	if _, err := strconv.ParseInt(canary, 10, 64); err != nil { // digits alone are taken for the number of a deviation, and told
		l.run(study.ExitUsage, "deviation", "explain", canary, "--reason", "illness", "--debug")
	}
	l.run(study.ExitUsage, "deviation", "explain", "1", "--reason", canary, "--debug")
}
