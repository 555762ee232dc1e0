//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"

	"longitude/internal/edctest/sshd"
	"longitude/study"
)

// A mistake in the configuration is refused with its place, before anything runs.
func TestBadConfiguration(t *testing.T) {
	for _, c := range []struct {
		name, file, from, to, code string
		words                      []string
	}{
		{"unknown key", "source.yaml", "format: {type: csv", "format: {typ: csv", "config.unknown_key", []string{"source.yaml:5:10", "typ"}},
		{"literal secret", "service.yaml", "${file:database}", "postgres://u:hunter2@db/x", "config.literal_secret", []string{"service.yaml:2:"}},
		{"unknown form", "source.yaml", "    acuity:", "    acuitee:", "", []string{"source.yaml:", "acuitee"}},
		{"not YAML", "study.yaml", "forms: {consent: critical", "forms: {consent critical", "", []string{"study.yaml:"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := unmigrated(t, smallStudy, "postgres://nobody@127.0.0.1:1/none")
			x.edit(c.file, c.from, c.to)
			out, _ := x.run(study.ExitUsage, "validate")
			_, errOut := x.run(study.ExitUsage, "sync")
			for _, text := range []string{out, errOut} {
				for _, word := range append(c.words, c.code) {
					if !strings.Contains(text, word) {
						t.Errorf("not said: %q\n%s", word, text)
					}
				}
				if strings.Contains(text, "hunter2") {
					t.Error("the secret is repeated")
				}
			}
			var findings []struct {
				File         string
				Line, Column int
			}
			x.answer(study.ExitUsage, &findings, "validate")
			if len(findings) == 0 || findings[0].Line == 0 {
				t.Errorf("findings: %+v", findings)
			}
		})
	}
}

// A file that cannot be read at all is put aside whole, with its place and what to
// do; nothing of it is recorded, the source goes on behind it, and once mended
// nothing of it is lost.
func TestUnreadableFiles(t *testing.T) {
	whole := smallHeader + person("P-Müller")
	latin, err := charmap.Windows1252.NewEncoder().String(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text, code string
		words            []string
		mend             func(*trial) // nil: deliver the whole file
	}{
		{"missing column", strings.Replace(whole, ",IOP,", ",PRESSURE,", 1), "drift.put_aside", []string{"IOP"}, nil},
		{"wrong delimiter", strings.ReplaceAll(whole, ",", ";"), "csv.delimiter", []string{"line 1", `";"`},
			func(x *trial) { x.edit("source.yaml", `delimiter: ","`, `delimiter: ";"`) }},
		{"UTF-16 undeclared without a mark", wide(whole, false), "csv.", []string{"line 1", "encoding"},
			func(x *trial) { x.edit("source.yaml", "encoding: auto", "encoding: utf-16le") }},
		{"Windows-1252 undeclared", latin, "csv.encoding_unknown", []string{"line 2", "windows-1252"},
			func(x *trial) { x.edit("source.yaml", "encoding: auto", "encoding: windows-1252") }},
		{"empty file", "", "csv.empty", []string{"header"}, nil},
		{"no CSV at all", "\x1f\x8b\x08\x00" + strings.Repeat("\x00\x81\xfe", 400), "csv.", []string{"line 1"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newTrial(t, smallStudy)
			x.drop("a.csv", c.text)
			x.drop("b.csv", smallHeader)
			x.refused(study.ExitRejections, c.code, c.words, "sync")
			if out, _ := x.run(study.ExitOK, "quarantine", "show", "1"); !strings.HasPrefix(out, "object 1 of source clinic is open") || strings.Contains(out, "SOURCE") {
				t.Errorf("quarantine show: %s", out)
			}
			if x.versions() != 0 || x.number("SELECT count(*) FROM research.batch WHERE aside") != 1 || x.sync(study.ExitOK).Objects != 0 {
				t.Error("something of the file was recorded, or the source did not go on")
			}
			if c.mend == nil {
				x.drop("a.csv", whole)
				if got := x.sync(study.ExitOK).Counts; got.Accepted != 3 {
					t.Errorf("delivered anew: %+v", got)
				}
			} else {
				c.mend(x)
				if got := x.replay("clinic", true).Counts; got.Accepted != 3 {
					t.Errorf("mended: %+v", got)
				}
			}
			if open := x.number("SELECT count(*) FROM research.quarantine_current WHERE state = 'open'"); open != 0 {
				t.Errorf("%d rows are open", open)
			}
			var leaked int64
			for _, table := range []string{"jobs.run", "research.batch", "audit.event"} {
				leaked += x.number("SELECT count(*) FROM " + table + " t WHERE t::text LIKE '%M_ller%'")
			}
			if leaked != 0 || strings.Contains(x.said.String(), "ller") {
				t.Error("the identifier is told")
			}
		})
	}
}

// wide is text in UTF-16, little endian.
func wide(text string, mark bool) string {
	var b []byte
	if mark {
		b = []byte{0xff, 0xfe}
	}
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

// A row that cannot be accepted is quarantined by its rule and the rest goes on.
func TestBadRows(t *testing.T) {
	good := person("P-1")
	row := func(id string) string { return acuityRow(id, "BL", "01/03/2026", "OD", "44") }
	for _, c := range []struct {
		name, text string
		rule       string // "" = nothing quarantined
		want       study.Counts
	}{
		{"UTF-16 with a mark", wide(smallHeader+good, true), "", study.Counts{Read: 3, Mapped: 3, Produced: 3, Accepted: 3}},
		{"a header alone", smallHeader, "", study.Counts{}},
		{"cut in a row", smallHeader + good + row("P-1")[:20], "column_count", study.Counts{Read: 4, Mapped: 3, RowsQuarantined: 1, Produced: 3, Accepted: 3}},
		{"unclosed quote", smallHeader + good + `P-1,BL,"01/03/2026` + row("P-3"), "quote_unclosed",
			study.Counts{Read: 4, Mapped: 3, RowsQuarantined: 1, Produced: 3, Accepted: 3}},
		{"no such day", smallHeader + good + acuityRow("P-1", "M1", "31/02/2026", "OD", "44"), "date_invalid",
			study.Counts{Read: 4, Mapped: 3, RowsQuarantined: 1, Produced: 3, Accepted: 3}},
		{"unknown choice", smallHeader + good + strings.Replace(acuityRow("P-1", "M1", "31/03/2026", "OD", "44"), "ETDRS", "Landolt", 1), "choice_unknown",
			study.Counts{Read: 4, Mapped: 4, Produced: 4, Accepted: 3, Quarantined: 1}},
		{"duplicate row", smallHeader + good + person("P-1"), "", study.Counts{Read: 6, Mapped: 6, Produced: 6, Accepted: 3, Unchanged: 3}},
		{"unknown participant", smallHeader + good + row("P-9"), "", study.Counts{Read: 4, Mapped: 4, Produced: 4, Accepted: 3, Held: 1}},
		{"no participant", smallHeader + good + row(""), "participant_missing", study.Counts{Read: 4, Mapped: 3, RowsQuarantined: 1, Produced: 3, Accepted: 3}},
		{"identifier with a control character", smallHeader + good + row("P\u200b-1"), "identity_invalid",
			study.Counts{Read: 4, Mapped: 4, Produced: 4, Accepted: 3, Quarantined: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newTrial(t, smallStudy)
			x.drop("a.csv", c.text)
			exit := study.ExitOK
			if c.rule != "" {
				exit = study.ExitRejections
			}
			if got := x.sync(exit).Counts; got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			rules := x.query("SELECT rule FROM research.quarantine")
			if c.rule != "" && (len(rules) != 1 || rules[0][0] != c.rule) || c.rule == "" && len(rules) != 0 {
				t.Errorf("quarantined by %v, want %q", rules, c.rule)
			}
			if sealed := x.number("SELECT count(*) FROM vault.quarantined_row"); sealed != int64(len(rules)) {
				t.Errorf("%d rows are kept sealed of %d quarantined", sealed, len(rules))
			}
		})
	}
}

// What is held for an unknown participant is accepted once the participant is known.
func TestUnknownParticipantIsHeld(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+acuityRow("P-1", "BL", "01/03/2026", "OD", "44"))
	if got := x.sync(study.ExitOK).Counts; got.Held != 1 || got.Accepted != 0 {
		t.Errorf("unknown participant: %+v", got)
	}
	if codes := x.query("SELECT code FROM research.hold_current"); len(codes) != 1 || codes[0][0] != study.UnknownParticipant {
		t.Errorf("held for %v", codes)
	}
	x.drop("b.csv", smallHeader+consentRow("P-1"))
	if got := x.sync(study.ExitOK).Counts; got.Accepted != 1 {
		t.Errorf("consent: %+v", got)
	}
	if n := x.number("SELECT count(*) FROM research.hold_current"); n != 0 {
		t.Errorf("%d records are still held", n)
	}
}

// A large file goes through in bounded memory; each of its rows is accounted for.
func TestLargeFile(t *testing.T) {
	if testing.Short() {
		t.Skip("5 MB take a while")
	}
	x := newTrial(t, smallStudy)
	rows := writeLarge(x, 5<<20)
	got := x.sync(study.ExitOK).Counts
	if got.Read != rows || got.Accepted != rows {
		t.Errorf("%+v of %d rows", got, rows)
	}
}

// writeLarge drops a file of about size bytes and answers how many rows it has.
func writeLarge(x *trial, size int) (rows int64) {
	x.t.Helper()
	f, err := os.Create(x.path("drop/large.csv"))
	x.must(err)
	_, err = f.WriteString(smallHeader)
	x.must(err)
	for written, i := 0, 0; written < size; i++ {
		n, err := f.WriteString(person(fmt.Sprintf("P-%07d", i)))
		x.must(err)
		written, rows = written+n, rows+3
	}
	x.must(f.Close())
	x.write("drop/large.csv.done", "")
	return rows
}

// A database that is down is an error of the environment, told without its URL.
func TestDatabaseDown(t *testing.T) {
	x := unmigrated(t, smallStudy, "postgres://longitude:hunter2@127.0.0.1:1/longitude")
	x.drop("a.csv", smallHeader+person("P-1"))
	for _, args := range [][]string{{"sync"}, {"status"}, {"check"}, {"release", "build"}, {"migrate"}} {
		x.refused(study.ExitEnvironment, "database.", []string{"→"}, args...)
	}
	if said := x.said.String(); strings.Contains(said, "hunter2") {
		t.Errorf("the password is told:\n%s", said)
	}
}

// A server that answers with another host key than the pinned one is refused
// before anything is sent to it.
func TestWrongHostKey(t *testing.T) {
	x := newTrial(t, smallStudy)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server, err := sshd.Start(ctx, x.path("drop"))
	if err != nil {
		t.Skipf("no OpenSSH server: %v", err)
	}
	defer func() { _ = server.Stop() }()
	x.write("key", string(server.PrivateKey))
	x.drop("a.csv", smallHeader+person("P-1"))
	source := func(hostKey string) string {
		return fmt.Sprintf(`{type: sftp, address: "%s", user: "%s", private_key: "${file:key}", host_key: "%s", path: "%s/*.csv", ready: {marker: .done}}`,
			server.Address, server.User, hostKey, server.Root)
	}
	wrong := "SHA256:" + strings.Repeat("A", 43)
	x.edit("source.yaml", "{type: folder, path: drop/*.csv, ready: {marker: .done}}", source(wrong))
	for _, command := range []string{"check", "sync"} {
		x.run(study.ExitBlocked, command)
	}
	x.refused(study.ExitBlocked, "sftp.host_key", []string{"pinned"}, "sync")
	if x.versions() != 0 {
		t.Error("something was pulled from the wrong server")
	}
	x.edit("source.yaml", wrong, server.HostKeyFingerprint)
	if got := x.sync(study.ExitOK).Counts; got.Accepted != 3 {
		t.Errorf("with the right key: %+v", got)
	}
}
