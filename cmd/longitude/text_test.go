//go:build unix

package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"longitude/deid"
	"longitude/study"
)

// noted is an acuity row with words of its own.
func noted(id, eye, va, words string) string {
	return strings.Replace(acuityRow(id, "BL", "01/03/2026", eye, va), "seen by Dr Quux", words, 1)
}

// newReadable is a trial with texts to be read, and who reads them.
func newReadable(t *testing.T) (x *trial, with func(who string, args ...string) []string) {
	t.Helper()
	x = randomTrial(t)
	x.edit("study.yaml", "{name: comments, type: text, class: free_text}", "{name: comments, type: text, class: free_text, release: reviewed}\n"+
		"      - {name: remark, type: text, class: free_text, release: has_text}\n      - {name: scan, type: file, class: attachment, release: digest_only}")
	x.edit("source.yaml", "comments: {column: NOTES}", "comments: {column: NOTES}\n        remark: {column: NOTES}\n        scan: {column: ID}")
	as := x.staff(map[string]string{"nora": "data_manager", "cleo": "custodian", "carl": "custodian", "cora": "custodian"})
	with = func(who string, args ...string) []string { return append(args, as(who)...) }
	x.drop("a.csv", smallHeader+consentRow("P-1")+noted("P-1", "OD", "44", "tired")+noted("P-1", "OS", "61", "brother of ZZCANARY")+
		consentRow("P-2")+noted("P-2", "OD", "50", "calm")+noted("P-2", "OS", "51", ""))
	x.sync(study.ExitOK)
	return x, with
}

// texts is what a review shows.
type texts struct {
	Review int64
	SHA256 string
	Texts  []shownText
}

// A text leaves when two custodians have read and signed it; whoever else, whatever
// else and one of them twice does not let it.
func TestReviewedTexts(t *testing.T) {
	x, with := newReadable(t)
	build := []string{"release", "build", "--as-of", "2026-05-01"}
	x.refused(study.ExitBlocked, "deid.unreviewed", []string{"acuity.comments", "signed: 3", "longitude text show"}, build...)
	if list := x.table(study.ExitOK, "text", "list"); len(list) != 2 || strings.Join(list[1], " ") != "0 acuity.comments 3 0 unread " {
		t.Errorf("text list: %v", list)
	}
	x.refused(study.ExitBlocked, "people.role_missing", nil, with("nora", "text", "show")...)
	x.refused(study.ExitBlocked, "people.unknown", nil, with("zoe", "text", "show")...)
	x.refused(study.ExitUsage, "text.field", []string{"acuity.comments"}, with("cleo", "text", "show", "--field", "acuity.remark")...)
	x.refused(study.ExitUsage, "usage.limit", nil, with("cleo", "text", "show", "--limit", "201")...)
	x.run(study.ExitOK, with("ada", "person", "deactivate", "cora")...)
	x.refused(study.ExitBlocked, "people.inactive", nil, with("cora", "text", "show")...)
	if strings.Contains(x.said.String(), "tired") {
		t.Fatal("a text is shown to who may not read it")
	}

	var read, again texts
	x.answer(study.ExitOK, &read, with("cleo", "text", "show", "--limit", "2")...)
	if read.Review == 0 || len(read.Texts) != 2 || read.Texts[0].Text+read.Texts[1].Text != "brother of ZZCANARYtired" && read.Texts[0].Text+read.Texts[1].Text != "tiredbrother of ZZCANARY" ||
		read.Texts[0].Visit != "baseline" || read.Texts[0].Code != x.codes()[0] {
		t.Fatalf("shown: %+v", read)
	}
	number, named := id(read.Review), "1"
	if strings.Contains(read.Texts[1].Text, "ZZ") {
		named = "2"
	}
	if n := x.number("SELECT count(*) FROM audit.event e JOIN audit.seal USING (event_id) WHERE action = 'record.viewed' AND object = 'text_review/' || $1", number); n != 1 {
		t.Errorf("%d sealed events of reading", n)
	}
	x.refused(study.ExitBlocked, "text.unread", []string{"carl"}, with("carl", "text", "sign", number)...)
	x.refused(study.ExitUsage, "usage.arguments", nil, with("cleo", "text", "sign", number, "--refuse", "3")...)
	x.run(study.ExitOK, with("cleo", "text", "sign", number)...)
	x.refused(study.ExitBlocked, "text.same_person", []string{"cleo"}, with("cleo", "text", "sign", number)...)
	x.refused(study.ExitBlocked, "text.same_person", nil, with("cleo", "text", "sign", number, "--refuse", "1")...)
	x.refused(study.ExitBlocked, "deid.unreviewed", []string{"signed: 3"}, build...)

	x.answer(study.ExitOK, &again, with("carl", "text", "show")...)
	if again.Review != read.Review || again.SHA256 != read.SHA256 {
		t.Errorf("carl is shown %+v, cleo was shown %+v", again, read)
	}
	x.refused(study.ExitBlocked, "people.role_missing", []string{"nora"}, with("nora", "text", "show", number)...)
	x.run(study.ExitOK, with("carl", "text", "sign", number, "--refuse", named)...)
	x.run(study.ExitOK, with("ada", "person", "add", "cyd", "--printed-name", "Dr Cyd", "--role", "custodian", "--out", x.path("people/cyd.key"), "--new-passphrase-file", x.path("passphrase"))...)
	x.refused(study.ExitBlocked, "text.answered", nil, with("cyd", "text", "sign", number)...)
	x.refused(study.ExitBlocked, "deid.unreviewed", []string{"signed: 1"}, build...)
	x.review("cleo", "carl", with)
	x.refused(study.ExitUsage, "text.none", []string{"carl"}, with("carl", "text", "show")...)
	x.run(study.ExitOK, build...)
	x.texted("small_01_r001", "tired calm  ", "not_released")

	// What changed is read again: the whole record, whichever answer it was.
	x.drop("b.csv", smallHeader+strings.Replace(noted("P-1", "OD", "45", "tired"), "2026-03-02T", "2026-03-09T", 1))
	x.sync(study.ExitOK)
	if events := x.table(study.ExitOK, "audit", "show", "--action", "batch.recorded"); events[0][9] != "changed" || !slices.ContainsFunc(events, func(e []string) bool { return e[9] == "acuity.va" }) {
		t.Errorf("audit show: %v", events)
	}
	x.refused(study.ExitBlocked, "deid.unreviewed", []string{"signed: 1"}, build...)
	x.review("carl", "cyd", with)
	x.run(study.ExitOK, build...)
	x.texted("small_01_r002", "tired calm  ", "not_released")
	x.run(study.ExitOK, "audit", "verify", "--deep")
	x.run(study.ExitOK, "signature", "verify")
	if n := x.number("SELECT count(*) FROM audit.event e JOIN audit.seal USING (event_id) WHERE action = 'text.reviewed'"); n != 3 {
		t.Errorf("%d sealed events of reviews, want 3", n)
	}
	if n := x.number("SELECT count(*) FROM research.reviewed_text WHERE body LIKE '%ZZCANARY%'"); n != 0 {
		t.Error("a text that was refused is kept in clear")
	}

	// Whoever can change the database does not get another text out.
	x.tampered = true
	for name, sql := range map[string]string{
		"another text":        "UPDATE research.reviewed_text SET body = 'call Mr ZZCANARY' WHERE body = 'calm'",
		"a text for another":  "UPDATE research.reviewed_text SET body = 'calm' WHERE body = 'call Mr ZZCANARY' OR body = 'tired'",
		"what was refused":    "UPDATE research.reviewed_text SET body = 'brother of ZZCANARY' WHERE body IS NULL",
		"another answer said": "UPDATE audit.text_review_answer SET refused = '{}'",
	} {
		x.exec("ALTER TABLE research.reviewed_text DISABLE TRIGGER append_only; ALTER TABLE audit.text_review_answer DISABLE TRIGGER append_only; " + sql +
			"; ALTER TABLE research.reviewed_text ENABLE ALWAYS TRIGGER append_only; ALTER TABLE audit.text_review_answer ENABLE ALWAYS TRIGGER append_only")
		_, said := x.run(study.ExitBlocked, "release", "build", "--as-of", "2026-05-02")
		if !strings.Contains(said, "deid.unreviewed") && !strings.Contains(said, "people.tampered") || strings.Contains(said, "ZZCANARY") {
			t.Errorf("%s: %s", name, said)
		}
	}
	if out, _ := x.run(study.ExitBlocked, "audit", "verify"); !strings.Contains(out, "texts_changed") || !strings.Contains(out, "an answer to text_review/"+number) {
		t.Errorf("audit verify: %s", out)
	}
}

// review has two people read and sign what awaits.
func (x *trial) review(first, second string, with func(string, ...string) []string) {
	x.t.Helper()
	var read texts
	for _, who := range []string{first, second} {
		x.answer(study.ExitOK, &read, with(who, "text", "show")...)
		x.run(study.ExitOK, with(who, "text", "sign", id(read.Review))...)
	}
}

// texted checks the texts of a release, in any order, and why others are missing.
func (x *trial) texted(name, want, why string) {
	x.t.Helper()
	rel := &released{x.t, x.path("data/releases/small-01/" + name)}
	left := strings.Fields(want)
	reasons, present := "", 0
	digests := map[string]bool{}
	for _, r := range rel.table("acuity") {
		if word := r.text("comments"); word != "∅" {
			if !strings.Contains(want, word) {
				x.t.Errorf("%s releases %q", name, word)
			}
			left = left[:max(0, len(left)-1)]
		}
		if r.text("has_remark") == "true" {
			present++
		}
		digests[r.text("scan_digest")] = true
		if !regexp.MustCompile(`^F[0-9A-Z]{25}$`).MatchString(r.text("scan_digest")) {
			x.t.Errorf("digest %q", r.text("scan_digest"))
		}
		reasons += strings.Trim(r.text("comments_missing"), "∅")
	}
	if len(left) != 0 || reasons != why || present != 3 || len(digests) != 2 {
		x.t.Errorf("%s: %d texts are missing, because %q; %d remarks, %d digests", name, len(left), reasons, present, len(digests))
	}
	var report deid.Report
	said, err := os.ReadFile(x.path("data/releases/small-01/" + name + "/reports/deidentification.json"))
	x.must(err)
	x.must(json.Unmarshal(said, &report))
	for _, identifier := range report.Identifiers {
		if identifier.Status != deid.NotEvaluated {
			x.t.Errorf("reviewed texts leave, and %s is %s", identifier.Letter, identifier.Status)
		}
	}
}

// Who is erased takes their texts along, those that were reviewed and those that wait.
func TestErasedTexts(t *testing.T) {
	x, with := newReadable(t)
	x.review("cleo", "carl", with)
	if n := x.number("SELECT count(*) FROM research.reviewed_text"); n != 3 {
		t.Fatalf("%d texts are reviewed, want 3", n)
	}
	// One of the other is changed, and has been read by one person only.
	x.drop("b.csv", smallHeader+strings.Replace(noted("P-1", "OD", "45", "sleepy"), "2026-03-02T", "2026-03-09T", 1))
	x.drop("c.csv", smallHeader+strings.Replace(noted("P-2", "OD", "55", "glad"), "2026-03-02T", "2026-03-09T", 1))
	x.sync(study.ExitOK)
	var read texts
	x.answer(study.ExitOK, &read, with("cleo", "text", "show")...)
	number := id(read.Review)
	x.run(study.ExitOK, with("cleo", "text", "sign", number)...)
	x.run(study.ExitOK, with("carl", "text", "show", number)...)
	var made []struct{ Request int64 }
	x.answer(study.ExitOK, &made, with("nora", "participant", "withdraw", x.codes()[0], "--erase", "--why", "asked")...)
	x.run(study.ExitOK, with("cleo", "vault", "approve", id(made[0].Request))...)
	x.run(study.ExitOK, "vault", "run", id(made[0].Request))
	if n := x.number("SELECT count(*) FROM research.reviewed_text"); n != 1 {
		t.Errorf("%d texts are reviewed after the erasure, want 1", n)
	}
	x.refused(study.ExitBlocked, "text.gone", nil, with("carl", "text", "sign", number)...)
	if list := x.table(study.ExitOK, "text", "list"); list[2][4] != "gone" || list[3][2] != "1" {
		t.Errorf("text list: %v", list)
	}
	x.review("cleo", "carl", with)
	x.run(study.ExitOK, "release", "build", "--as-of", "2026-05-01")
	x.run(study.ExitOK, "audit", "verify", "--deep")
}
