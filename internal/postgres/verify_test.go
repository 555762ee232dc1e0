package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"longitude/internal/audit"
	"longitude/internal/people"
	"longitude/study"
)

// withRoot gives a batch the root of what it records.
func withRoot(b study.BatchRecord, c *study.Changes, refused []study.SealedRejection) study.BatchRecord {
	tree := study.NewBatchTree(b.Object.Digest)
	st := amd()
	for i := range c.Records {
		f := st.Forms[c.Records[i].Key.Form]
		var names []string
		for _, field := range f.Fields {
			names = append(names, field.Name)
		}
		tree.Version(&c.Records[i], study.FormDigest(f.Name, names))
	}
	for _, r := range refused {
		tree.Refused(r.Item, r.Ordinal)
	}
	b.Root, b.Leaves = tree.Close()
	return b
}

// history is a log of a few checkpoints: events 1 to 4 enrol and write, with a batch
// of versions and refusals (event 2, place 1), a payload (event 3, place 2), then
// others; the tree has ten places and three checkpoints, of 4, 7 and 10.
func history(t *testing.T) (*Store, []audit.Anchor) {
	t.Helper()
	s := open(t, amd())
	people := enrol(t, s, "A", "B")
	in := begin(t, s, "amd-obs")
	c := &study.Changes{Records: []study.RecordVersion{packed(people[0], 0, "L", 1, "L\x1f60"), packed(people[0], 0, "R", 1, "R\x1f70"), packed(people[1], 0, "R", 1, "R\x1f80")}}
	refused := []study.SealedRejection{{Rejection: study.Rejection{Ordinal: 9, Rule: "range"}, Item: study.Digest{5}, KeyVersion: 1, Box: []byte("x")}}
	if err := in.Write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := in.Quarantine(t.Context(), "a", refused); err != nil {
		t.Fatal(err)
	}
	finish(t, in, withRoot(batchOf("a", "object"), c, refused))
	if err := s.Apply(t.Context(), []Document{{Kind: "source", Name: "a"}}, "plan", "additive", "dm", "words"); err != nil {
		t.Fatal(err)
	}
	note(t, s, 1)
	var anchors []audit.Anchor
	for range 3 {
		c := seal(t, s)
		anchors = append(anchors, audit.Anchor{Size: c.Size, Note: c.Note})
		if c.Size < 10 {
			note(t, s, 3)
		}
	}
	return s, anchors
}

func verify(t *testing.T, s *Store, anchors []audit.Anchor) *audit.Report {
	t.Helper()
	r, err := s.VerifyAudit(t.Context(), signerOf(t, "a").Policy(), anchors, true)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestASoundLog(t *testing.T) {
	s, anchors := history(t)
	r := verify(t, s, anchors)
	if err := r.Err(); err != nil || r.Size != 10 || r.Checkpoints != 3 || r.Anchors != 3 || r.Batches != 2 || r.Pending != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	note(t, s, 1)
	if r := verify(t, s, anchors); !hasCode(r.Err(), "audit.pending") || r.Pending != 1 {
		t.Errorf("an event waits: %+v, %v", r, r.Err())
	}
	seal(t, s)
	admin := newcomer(t, "ada", people.Admin)
	if err := s.PutPerson(t.Context(), admin.Person, nil, "root"); err != nil {
		t.Fatal(err)
	}
	id := one[int64](t, s, `SELECT event_id FROM audit.payload`)
	redaction, err := s.Redaction(t.Context(), id, "other")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Redact(t.Context(), id, "other", *admin.signs(t, people.Responsibility, redaction, 0)); err != nil {
		t.Fatal(err)
	}
	seal(t, s)
	if r := verify(t, s, anchors); r.Err() != nil || len(r.Redacted) != 1 || r.Redacted[0] != 3 {
		t.Errorf("after a redaction: %+v", r)
	}
}

// What a superuser may do to the log, and what is found of it first. Events are
// numbered from 1, places from 0.
var mutations = []struct {
	name  string
	do    []string
	kind  string
	index int64
}{
	{"column: actor", []string{`UPDATE audit.event SET actor = 'x' WHERE event_id = 4`}, audit.KindColumn, 3},
	{"column: action", []string{`UPDATE audit.event SET action = 'access.denied' WHERE event_id = 4`}, audit.KindColumn, 3},
	{"column: object", []string{`UPDATE audit.event SET object = 'x' WHERE event_id = 6`}, audit.KindColumn, 5},
	{"column: time", []string{`UPDATE audit.event SET recorded_at = recorded_at - interval '1 microsecond' WHERE event_id = 6`}, audit.KindColumn, 5},
	{"column: study", []string{`UPDATE audit.event SET study = 'x' WHERE event_id = 10`}, audit.KindColumn, 9},
	{"column: run", []string{`UPDATE audit.event SET run_id = 77 WHERE event_id = 2`}, audit.KindColumn, 1},
	{"column: outcome", []string{`UPDATE audit.event SET outcome = 'denied' WHERE event_id = 10`}, audit.KindColumn, 9},
	{"column: authority", []string{`UPDATE audit.event SET authority = 'x' WHERE event_id = 1`}, audit.KindColumn, 0},
	{"column: software", []string{`UPDATE audit.event SET software = 'x' WHERE event_id = 1`}, audit.KindColumn, 0},
	{"number of an event", []string{`INSERT INTO audit.event (event_id, recorded_at, action, actor, object, study, outcome, authority, reason, software, leaf) OVERRIDING SYSTEM VALUE
		SELECT 50, recorded_at, action, actor, object, study, outcome, authority, reason, software, leaf FROM audit.event WHERE event_id = 6`, `DELETE FROM audit.event WHERE event_id = 6`}, audit.KindEvent, 5},
	{"number of an event and its seal", []string{`INSERT INTO audit.event (event_id, recorded_at, action, actor, object, study, outcome, authority, reason, software, leaf) OVERRIDING SYSTEM VALUE
		SELECT 50, recorded_at, action, actor, object, study, outcome, authority, reason, software, leaf FROM audit.event WHERE event_id = 6`, `DELETE FROM audit.event WHERE event_id = 6`, `UPDATE audit.seal SET event_id = 50 WHERE event_id = 6`}, audit.KindColumn, 5},
	{"leaf", []string{`UPDATE audit.event SET leaf = leaf || ' ' WHERE event_id = 6`}, audit.KindLeaf, 5},
	{"leaf is no event", []string{`UPDATE audit.event SET leaf = '{}x' WHERE event_id = 6`}, audit.KindFormat, 5},
	{"leaf and column", []string{`UPDATE audit.event SET actor = 'evil', leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"actor":"test"', '"actor":"evil"'), 'UTF8') WHERE event_id = 6`}, audit.KindLeaf, 5},
	{"leaf, column and hash", []string{`UPDATE audit.event SET actor = 'evil', leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"actor":"test"', '"actor":"evil"'), 'UTF8') WHERE event_id = 6`,
		`UPDATE audit.seal SET leaf_hash = sha256('\x00' || (SELECT leaf FROM audit.event WHERE event_id = 6)) WHERE event_id = 6`}, audit.KindNode, 5},
	{"leaf, column, hash and node", []string{`UPDATE audit.event SET actor = 'evil', leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"actor":"test"', '"actor":"evil"'), 'UTF8') WHERE event_id = 10`,
		`UPDATE audit.seal SET leaf_hash = sha256('\x00' || (SELECT leaf FROM audit.event WHERE event_id = 10)) WHERE event_id = 10`,
		`UPDATE audit.node SET hash = (SELECT leaf_hash FROM audit.seal WHERE event_id = 10) WHERE idx = 16`,
		`UPDATE audit.node n SET hash = sha256('\x01' || (SELECT hash FROM audit.node WHERE idx = 15) || (SELECT hash FROM audit.node WHERE idx = 16)) WHERE idx = 17`}, audit.KindRoot, 7},
	{"event deleted", []string{`DELETE FROM audit.event WHERE event_id = 6`}, audit.KindEvent, 5},
	{"event and seal deleted", []string{`DELETE FROM audit.event WHERE event_id = 6`, `DELETE FROM audit.seal WHERE event_id = 6`}, audit.KindGap, 5},
	{"seal deleted", []string{`DELETE FROM audit.seal WHERE event_id = 6`}, audit.KindGap, 5},
	{"event deleted, the rest moved up", []string{`DELETE FROM audit.event WHERE event_id = 6`, `DELETE FROM audit.seal WHERE event_id = 6`,
		`UPDATE audit.seal SET leaf_index = leaf_index + 100 WHERE leaf_index > 5`, `UPDATE audit.seal SET leaf_index = leaf_index - 101 WHERE leaf_index > 100`}, audit.KindNode, 5},
	{"two seals swapped", []string{`UPDATE audit.seal SET leaf_index = 100 WHERE event_id = 6`, `UPDATE audit.seal SET leaf_index = 5 WHERE event_id = 7`, `UPDATE audit.seal SET leaf_index = 6 WHERE event_id = 6`}, audit.KindNode, 5},
	{"two leaves swapped", []string{`UPDATE audit.event e SET leaf = o.leaf FROM audit.event o WHERE e.event_id IN (6, 7) AND o.event_id IN (6, 7) AND e.event_id <> o.event_id`}, audit.KindColumn, 5},
	{"event put into the past", []string{`INSERT INTO audit.event (event_id, recorded_at, action, actor, object, leaf) OVERRIDING SYSTEM VALUE SELECT 0, recorded_at, action, actor, object, leaf FROM audit.event WHERE event_id = 1`}, audit.KindUnsealed, -1},
	{"event put into the past with a place", []string{`INSERT INTO audit.event (event_id, recorded_at, action, actor, object, study, outcome, authority, reason, software, leaf) OVERRIDING SYSTEM VALUE
		SELECT 99, recorded_at, action, actor, object, study, outcome, authority, reason, software, convert_to(replace(convert_from(leaf, 'UTF8'), '"id":4', '"id":99'), 'UTF8') FROM audit.event WHERE event_id = 4`,
		`UPDATE audit.seal SET leaf_index = leaf_index + 100 WHERE leaf_index > 3`, `UPDATE audit.seal SET leaf_index = leaf_index - 99 WHERE leaf_index > 100`,
		`INSERT INTO audit.seal SELECT 99, 4, sha256('\x00' || leaf) FROM audit.event WHERE event_id = 99`}, audit.KindNode, 4},
	{"event appended with a place", []string{`INSERT INTO audit.event (event_id, recorded_at, action, actor, object, study, outcome, authority, reason, software, leaf) OVERRIDING SYSTEM VALUE
		SELECT 99, recorded_at, action, actor, object, study, outcome, authority, reason, software, convert_to(replace(convert_from(leaf, 'UTF8'), '"id":4', '"id":99'), 'UTF8') FROM audit.event WHERE event_id = 4`,
		`INSERT INTO audit.seal SELECT 99, 10, sha256('\x00' || leaf) FROM audit.event WHERE event_id = 99`}, audit.KindNodeMissing, 10},
	{"node of a leaf", []string{`UPDATE audit.node SET hash = sha256('x') WHERE idx = 0`}, audit.KindNode, 0},
	{"inner node", []string{`UPDATE audit.node SET hash = sha256('x') WHERE idx = 2`}, audit.KindNode, 1},
	{"node deleted", []string{`DELETE FROM audit.node WHERE idx = 8`}, audit.KindNodeMissing, 5},
	{"node added", []string{`INSERT INTO audit.node VALUES (1000, sha256('x'))`}, audit.KindNodeExtra, 10},
	{"root in its column", []string{`UPDATE audit.checkpoint SET root = sha256('x') WHERE size = 7`}, audit.KindForged, 6},
	{"checkpoint of another size", []string{`UPDATE audit.checkpoint SET size = 8 WHERE size = 7`}, audit.KindForged, 7},
	{"signature", []string{`UPDATE audit.checkpoint SET note = set_byte(note, length(note) - 10, CASE get_byte(note, length(note) - 10) WHEN 65 THEN 66 ELSE 65 END) WHERE size = 7`}, audit.KindForged, 6},
	{"note of another checkpoint", []string{`UPDATE audit.checkpoint SET note = (SELECT note FROM audit.checkpoint WHERE size = 4) WHERE size = 7`}, audit.KindForged, 6},
	{"last checkpoint deleted", []string{`DELETE FROM audit.checkpoint WHERE size = 10`}, audit.KindNoCheckpoint, 7},
	{"first checkpoint deleted", []string{`DELETE FROM audit.checkpoint WHERE size = 4`}, audit.KindCheckpoint, 3},
	{"checkpoint between deleted", []string{`DELETE FROM audit.checkpoint WHERE size = 7`}, audit.KindCheckpoint, 6},
	{"checkpoint between deleted, and the next one says so", []string{`DELETE FROM audit.checkpoint WHERE size = 7`, `UPDATE audit.checkpoint SET previous = 4 WHERE size = 10`}, audit.KindCheckpoint, 6},
	{"tail cut", []string{`DELETE FROM audit.event WHERE event_id > 8`, `DELETE FROM audit.seal WHERE event_id > 8`, `DELETE FROM audit.node WHERE idx >= 15`}, audit.KindTail, 8},
	{"payload", []string{`UPDATE audit.payload SET payload = 'other'`}, audit.KindPayload, 2},
	{"salt", []string{`UPDATE audit.payload SET salt = sha256('x')`}, audit.KindPayload, 2},
	{"payload deleted", []string{`DELETE FROM audit.payload`}, audit.KindPayloadGone, 2},
	{"payload of another event", []string{`INSERT INTO audit.payload SELECT 4, salt, payload FROM audit.payload`}, audit.KindPayload, 3},
	{"version: answers", []string{`UPDATE research.record_version SET answers = replace(answers, '70', '71') WHERE occurrence = 'R' AND answers LIKE '%70'`}, audit.KindBatch, 1},
	{"version: visit", []string{`UPDATE research.record_version SET visit_no = 3 WHERE occurrence = 'L'`}, audit.KindBatch, 1},
	{"version: whose", []string{`UPDATE research.record_version SET participant_id = 77 WHERE occurrence = 'L'`}, audit.KindBatch, 1},
	{"version: form", []string{`UPDATE research.record_version SET form_id = form_id + 1 WHERE occurrence = 'L'`}, audit.KindBatch, 1},
	{"version: reason of what is missing", []string{`UPDATE research.record_version SET missing = '1=refused' WHERE occurrence = 'L'`}, audit.KindBatch, 1},
	{"version deleted", []string{`DELETE FROM research.record_version WHERE occurrence = 'L'`}, audit.KindBatch, 1},
	{"version added", []string{`INSERT INTO research.record_version SELECT participant_id, batch_id, modified, content_hash, 9, version, ordinal, shape_id, entered, form_id, op, occurrence, answers, missing, findings FROM research.record_version WHERE occurrence = 'L'`}, audit.KindBatch, 1},
	{"refusal deleted", []string{`DELETE FROM research.quarantine_sighting`}, audit.KindBatch, 1},
	{"refused thing", []string{`UPDATE research.quarantine SET item_digest = sha256('x')`}, audit.KindBatch, 1},
	{"root of a batch", []string{`UPDATE research.batch SET merkle_root = sha256('x') WHERE source = 'a'`}, audit.KindBatch, 1},
	{"batch deleted", []string{`DELETE FROM research.batch WHERE source = 'a'`}, audit.KindBatchGone, 1},
	{"batch nobody recorded", []string{`INSERT INTO research.batch (batch_id, study_id, kind, source, run_id, as_of, protocol_digest, software, merkle_root, merkle_leaves,
		rows_read, rows_mapped, rows_quarantined, rows_ignored, records_produced, records_accepted, records_unchanged, records_superseded, records_quarantined, records_held)
		SELECT 999, study_id, 'rejudge', '', run_id, as_of, protocol_digest, software, merkle_root, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM research.batch LIMIT 1`}, audit.KindBatchExtra, -1},
}

// Every mutation is found, and the first finding names its place.
func TestMutations(t *testing.T) {
	if len(mutations) < 30 {
		t.Fatal("too few")
	}
	s, anchors := history(t)
	c := as(t, s, "")
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			tx, err := c.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(context.Background()) }()
			tamperIn(t, tx, m.do...)
			r, err := verifyAudit(t.Context(), tx, signerOf(t, "a").Policy(), anchors, true)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Findings) == 0 || r.Findings[0].Kind != m.kind || r.Findings[0].Index != m.index || !hasCode(r.Err(), "audit.tampered") {
				t.Errorf("found %+v, want %s at %d", r.Findings, m.kind, m.index)
			}
		})
	}
}

// rebuilt signs the log again from its events, with the real key: the strongest
// forger there is.
func rebuilt(t *testing.T, s *Store) {
	t.Helper()
	tamper(t, s, `DELETE FROM audit.seal`, `DELETE FROM audit.node`, `DELETE FROM audit.checkpoint`, `INSERT INTO jobs.unsealed SELECT event_id FROM audit.event`)
	seal(t, s)
}

// Who holds database and key can rewrite history, but not what was anchored.
func TestRewritingAgainstAnAnchor(t *testing.T) {
	for name, c := range map[string]struct {
		do    []string
		kind  string
		index int64
	}{
		"changed": {[]string{`UPDATE audit.event SET actor = 'evil', leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"actor":"test"', '"actor":"evil"'), 'UTF8') WHERE event_id = 6`}, audit.KindRewritten, 4},
		"deleted": {[]string{`DELETE FROM audit.event WHERE event_id = 9`}, audit.KindRolledBack, 9},
		"cut":     {[]string{`DELETE FROM audit.event WHERE event_id > 5`}, audit.KindRolledBack, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, anchors := history(t)
			tamper(t, s, c.do...)
			rebuilt(t, s)
			if r := verify(t, s, nil); r.Err() != nil {
				t.Fatalf("the forger left traces: %+v", r.Findings) // or the test proves nothing
			}
			r := verify(t, s, anchors)
			if len(r.Findings) == 0 || r.Findings[0].Kind != c.kind || r.Findings[0].Index != c.index {
				t.Errorf("found %+v, want %s at %d", r.Findings, c.kind, c.index)
			}
		})
	}
}

// A backup from before, restored, is a log that an anchor is ahead of.
func TestRestoredBackup(t *testing.T) {
	s, anchors := history(t)
	tamper(t, s, `DELETE FROM audit.event WHERE event_id > 7`, `DELETE FROM audit.seal WHERE leaf_index > 6`, `DELETE FROM audit.node WHERE idx >= `+fmt.Sprint(audit.NodeCount(7)), `DELETE FROM audit.checkpoint WHERE size > 7`)
	if r := verify(t, s, nil); r.Err() != nil {
		t.Fatalf("a backup is not sound: %+v", r.Findings)
	}
	if r := verify(t, s, anchors); len(r.Findings) != 1 || r.Findings[0].Kind != audit.KindRolledBack || r.Findings[0].Index != 7 {
		t.Errorf("found %+v", r.Findings)
	}
	anchors[1].Note = []byte(strings.Replace(string(anchors[1].Note), "\n7\n", "\n8\n", 1))
	if r := verify(t, s, anchors[:2]); len(r.Findings) != 1 || r.Findings[0].Kind != audit.KindAnchor {
		t.Errorf("a forged anchor: %+v", r.Findings)
	}
}

// Every event is proven, as it is read from the database.
func TestProofsFromTheDatabase(t *testing.T) {
	s, _ := history(t)
	policy := signerOf(t, "a").Policy()
	c, err := s.AuditCheckpoint(t.Context(), policy)
	if err != nil || c.Size != 10 {
		t.Fatalf("%+v, %v", c, err)
	}
	seen := int64(0)
	err = s.AuditEvents(t.Context(), AuditFilter{}, func(e audit.Entry) error {
		p, err := s.AuditProof(t.Context(), e.Event.ID, c)
		if err != nil {
			return err
		}
		seen++
		proven, _, err := p.Check(policy)
		if proven.ID != e.Event.ID || p.Index != e.Index {
			t.Errorf("event %d is proven as %d", e.Event.ID, proven.ID)
		}
		return err
	})
	if err != nil || seen != 10 {
		t.Errorf("%d events, %v", seen, err)
	}
	if _, err := s.AuditProof(t.Context(), 1234, c); !hasCode(err, "status.not_found") {
		t.Errorf("no such event: %v", err)
	}
}

func TestAuditFilters(t *testing.T) {
	s, _ := history(t)
	for name, c := range map[string]struct {
		f    AuditFilter
		want int
	}{
		"all":         {AuditFilter{}, 10},
		"newest":      {AuditFilter{Limit: 2}, 2},
		"action":      {AuditFilter{Action: audit.BatchRecorded}, 2},
		"actor":       {AuditFilter{Actor: "dm"}, 1},
		"study":       {AuditFilter{Study: "amd-obs"}, 9},
		"and general": {AuditFilter{Study: "amd-obs", General: true}, 10},
		"object":      {AuditFilter{Object: "batch/2"}, 1},
		"participant": {AuditFilter{Study: "amd-obs", Participant: "A"}, 1},
		"since":       {AuditFilter{Since: at("2100-01-01T00:00:00Z")}, 0},
		"until":       {AuditFilter{Until: at("2100-01-01T00:00:00Z")}, 10},
	} {
		n := 0
		if err := s.AuditEvents(t.Context(), c.f, func(audit.Entry) error { n++; return nil }); err != nil || n != c.want {
			t.Errorf("%s: %d events, want %d, %v", name, n, c.want, err)
		}
	}
}
