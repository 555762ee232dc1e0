package decision

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"longitude/study"
)

func explanation() study.Decision {
	return study.Decision{Kind: study.Explain, Study: "amd-obs-01", Participant: 12,
		Deviation: study.DeviationKey{Code: study.FormMissing, VisitNo: 2, Detail: "acuity/R"}, Evidence: "acuity/R is missing",
		Reason: "illness", Note: []byte("sealed"), Actor: "ada", At: time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)}
}

func TestStatement(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	d := explanation()
	if err := Sign(&d, "k1", key); err != nil {
		t.Fatal(err)
	}
	const want = `{"about":"participant/12/visit/2/form_missing/acuity/R","actor":"ada","at":"2026-03-01T09:30:00Z",` +
		`"evidence_sha256":"4cdd86c9a9950c6a4a8ed8ee19114bc7d05b716acbd28e6593937c426960ec5b","format":"longitude.decision/1","kind":"explain",` +
		`"note_sha256":"c9d0036bed6744bcdf692fc980d8717d7e5f5a4f4e8266b4a84982602fb1cd09",` +
		`"reason":"illness","study":"amd-obs-01"}`
	if string(d.Statement) != want {
		t.Errorf("statement is\n%s\nwant\n%s", d.Statement, want)
	}
	if d.SignedBy != "k1" || !Verify(&d, key.Public().(ed25519.PublicKey)) {
		t.Error("the signature does not hold")
	}
}

// Whatever of a decision is changed afterwards, its signature holds no more.
func TestSignatureCoversEverything(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for name, change := range map[string]func(*study.Decision){
		"kind":        func(d *study.Decision) { d.Kind = study.Waive },
		"study":       func(d *study.Decision) { d.Study = "other" },
		"participant": func(d *study.Decision) { d.Participant++ },
		"visit":       func(d *study.Decision) { d.Deviation.VisitNo++ },
		"code":        func(d *study.Decision) { d.Deviation.Code = study.FormsMissing },
		"detail":      func(d *study.Decision) { d.Deviation.Detail = "acuity/L" },
		"evidence":    func(d *study.Decision) { d.Evidence += "!" },
		"reason":      func(d *study.Decision) { d.Reason = "travel" },
		"note":        func(d *study.Decision) { d.Note = []byte("another") },
		"no note":     func(d *study.Decision) { d.Note = nil },
		"actor":       func(d *study.Decision) { d.Actor = "eve" },
		"time":        func(d *study.Decision) { d.At = d.At.Add(time.Microsecond) },
		"statement":   func(d *study.Decision) { d.Statement = append([]byte(" "), d.Statement...) },
		"signature":   func(d *study.Decision) { d.Signature[3] ^= 1 },
	} {
		d := explanation()
		if err := Sign(&d, "k1", key); err != nil {
			t.Fatal(err)
		}
		change(&d)
		if Verify(&d, key.Public().(ed25519.PublicKey)) {
			t.Errorf("the signature holds for another %s", name)
		}
	}
}

func TestAbout(t *testing.T) {
	for want, d := range map[string]study.Decision{
		"study":                                 {Kind: study.LockData},
		"visit_type/month_1":                    {Kind: study.LockData, Visit: "month_1"},
		"participant/7":                         {Kind: study.LockData, Participant: 7},
		"participant/7/visit_type/month_1":      {Kind: study.LockData, Participant: 7, Visit: "month_1"},
		"lock/3":                                {Kind: study.UnlockData, Lifts: 3},
		"quarantine/44":                         {Kind: study.Waive, Quarantine: 44},
		"source/site-a":                         {Kind: study.AcceptShape, Source: "site-a"},
		"participant/7/same_as/4":               {Kind: study.Link, Participant: 7, SameAs: 4},
		"link/3":                                {Kind: study.Unlink, Participant: 7, Lifts: 3},
		"participant/7/withdraw/future_use":     {Kind: study.Withdraw, Participant: 7, Deviation: study.DeviationKey{Detail: study.FutureUse}},
		"participant/7/visit/0/consent_missing": {Kind: study.Explain, Participant: 7, Deviation: study.DeviationKey{Code: study.ConsentMissing}},
	} {
		if got := About(&d); got != want {
			t.Errorf("About = %q, want %q", got, want)
		}
	}
}

func TestWhy(t *testing.T) {
	good := Why{Reason: "illness", Actor: "ada"}
	for _, c := range []struct {
		name, code, hint string
		change           func(*Why)
	}{
		{"good", "", "", func(*Why) {}},
		{"other with a note", "", "", func(w *Why) { w.Reason, w.Note = "other", "the ferry did not run" }},
		{"no reason", "decision.reason", "protocol_exception", func(w *Why) { w.Reason = "" }},
		{"a reason of nobody's", "decision.reason", "illness", func(w *Why) { w.Reason = "Illness" }},
		{"other without a note", "decision.note", "sealed", func(w *Why) { w.Reason, w.Note = "other", " " }},
		{"a novel", "decision.note", "filed", func(w *Why) { w.Note = strings.Repeat("x", 10_001) }},
		{"nobody", "decision.actor", "plain", func(w *Why) { w.Actor = "" }},
		{"a name over two lines", "decision.actor", "plain", func(w *Why) { w.Actor = "ada\neve" }},
		{"a name of great length", "decision.actor", "plain", func(w *Why) { w.Actor = strings.Repeat("a", 101) }},
	} {
		w := good
		c.change(&w)
		var e *study.Error
		got := ""
		if errors.As(w.Check(), &e) {
			got = e.Code
		}
		if got != c.code || got != "" && (!strings.Contains(e.Hint, c.hint) || e.Exit != study.ExitUsage) {
			t.Errorf("%s: %v, want %q", c.name, e, c.code)
		}
	}
	var e *study.Error
	if errors.As(Why{Actor: "ada"}.Check(), &e); e == nil || e.Op != "no reason is given" {
		t.Errorf("nothing given: %v", e)
	}
}
