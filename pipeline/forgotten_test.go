package pipeline

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"longitude/deid"
	"longitude/study"
)

// Codes that are drawn are drawn once: reading again, under another Intake, gives
// the same participants.
func TestRandomCodesAreDrawnOnce(t *testing.T) {
	s := testStudy()
	s.Deid.Pseudonym = deid.Random
	b := newBench(t, s, testSource(true))
	rows := visitRows + rowsOfPerson("2")
	b.sync(file{"1.csv", header + rows})
	before := maps.Clone(b.store.m.numbers)
	if len(before) != 2 || len(b.store.m.uids) != 2 {
		t.Fatalf("participants %v", before)
	}
	again, err := deid.NewIntake(s, b.feed.Config, testKeys("k"), newRandomBytes(t))
	if err != nil {
		t.Fatal(err)
	}
	b.feed.Intake = again
	if out := b.replay(b.store.m.landed()...); out.Objects != 0 {
		t.Errorf("read again: %+v", out)
	}
	b.sync(file{"2.csv", header + strings.ReplaceAll(rows, ",40,", ",45,")})
	if !maps.Equal(b.store.m.numbers, before) {
		t.Errorf("participants %v, before %v", b.store.m.numbers, before)
	}
}

// Two identities with one code are an error that names neither, not one participant.
func TestCollisionIsAnError(t *testing.T) {
	b := newBench(t, testStudy(), testSource(true))
	d := newDoor(&reading{feed: b.feed})
	err := d.number(t.Context(), []string{"Jane", "Ada"}, []study.SealedIdentity{{Code: "AMD-1", Blind: study.Digest{1}}, {Code: "AMD-1", Blind: study.Digest{2}}})
	if err == nil || !strings.Contains(err.Error(), "deid.collision") || strings.Contains(err.Error(), "Jane") || strings.Contains(err.Error(), "AMD-1") {
		t.Errorf("%v", err)
	}
}

// rowsOfPerson are visitRows of somebody else.
func rowsOfPerson(id string) string {
	return strings.ReplaceAll("\n"+strings.TrimSuffix(visitRows, "\n"), "\n1,", "\n"+id+",")[1:] + "\n"
}

// erase has a participant's identifier never come back.
func (b *bench) erase(identifier string) {
	b.t.Helper()
	id, rule := b.feed.Intake.Identify(identifier)
	if rule != "" {
		b.t.Fatal(rule)
	}
	b.store.m.erased = map[study.Digest]bool{id.Blind: true}
	b.store.m.gone = b.store.m.numbers[id.Code]
}

// holds reports whether anything in landing holds the text.
func (b *bench) holds(text string) bool {
	l := b.feed.Landing.(lander)
	for _, objects := range []map[study.Digest][]byte{l.objects, l.kept} {
		for _, content := range objects {
			if bytes.Contains(content, []byte(text)) {
				return true
			}
		}
	}
	return false
}

// Of who was erased nothing is taken any more, whatever is wrong with a row, and
// what was landed goes; nobody else notices.
func TestErasedDoNotComeBack(t *testing.T) {
	for name, c := range map[string]struct {
		kind    string
		removed float64
	}{"incremental": {study.Incremental, 0}, "complete": {study.Complete, 0.05}} {
		t.Run(name, func(t *testing.T) {
			src := testSource(true)
			src.Snapshot = study.Snapshot{Kind: c.kind, MaxRemoved: c.removed}
			src.MaxRejected = study.Limit{Count: 2}
			b := newBench(t, testStudy(), src)
			canary := rowsOfPerson("Canary-7")
			others := visitRows + rowsOfPerson("2")
			text := header + visitRows + canary + "Canary-7,va,baseline,never,,R,40,canary note,2026-01-01T00:00:00Z\n" +
				"canary-7,va\n" + "3,va,baseline,never,,R,40,,2026-01-01T00:00:00Z\n" + rowsOfPerson("2")
			b.sync(file{"1.csv", header + others})
			before := b.store.m.live()
			b.feed.Config.MaxRejected = study.Limit{}
			b.sync(file{"2.csv", text})
			b.feed.Config.MaxRejected = study.Limit{Count: 2} // what is refused of who was erased is no fault of the object
			if !b.holds("anary") {
				t.Fatal("the canary is not landed")
			}
			live := b.store.m.live()
			b.erase("CANARY-7")

			out := b.replay(b.store.m.landed()...)
			if b.holds("anary") {
				t.Error("the canary is still landed")
			}
			if out.Counts.Removed != 0 && c.kind == study.Complete || b.store.m.live() < before {
				t.Errorf("read again: %+v, %d live, before %d", out.Counts, b.store.m.live(), live)
			}
			if out := b.replay(b.store.m.landed()...); out.Counts.Accepted != 0 || out.Counts.Removed != 0 || b.holds("anary") {
				t.Errorf("read again twice: %+v", out)
			}
			people := len(b.store.m.numbers)
			for n, again := range []file{{"2.csv", text}, {"3.csv", text + rowsOfPerson("2")}, {"4.csv", text}} {
				out := b.sync(again)
				if out.Counts.Accepted != 0 || out.Counts.Removed != 0 || b.holds("anary") || len(b.store.m.numbers) != people {
					t.Errorf("delivery %d: %+v, landed %v", n, out.Counts, b.holds("anary"))
				}
			}
		})
	}
}
