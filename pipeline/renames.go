package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"longitude/study"
)

// A participant that vanishes from a complete snapshot while a new one with the
// very same records appears is most likely one person whose identifier has
// changed. Which it is only a person can say, so neither happens silently: what is
// of the new one is held, of the old one nothing is removed, and both have a
// violation that tells of it. Once it is explained, the new one's data are free
// and the old one's go with the next snapshot.
//
// Only whole sets of records are compared, by one digest of each participant that
// vanished, so this costs as much as removing them would.
type renames struct {
	vanished map[study.Digest][]int64 // by digest of all of a participant's records
	suspects map[int64]bool           // of this object: the new ones, and those that vanished

	newcomers map[int64]bool // of suspects: the new ones, where they came before the list that lacks the others
}

// renamed is the key of both violations; the evidence tells which is which.
var renamed = study.DeviationKey{Code: study.IdentityConflict, Detail: "renamed"}

const (
	freshEvidence    = "same records as a participant that vanished from the same snapshots"
	vanishedEvidence = "vanished, and a new participant has the same records"
)

// prepare reads what those who vanished had, if anyone new has come.
func (r *renames) prepare(ctx context.Context, tx Ingest, m *removal, d *door) error {
	r.vanished, r.suspects = map[study.Digest][]int64{}, map[int64]bool{}
	if len(d.fresh) == 0 {
		return nil
	}
	return r.digests(ctx, tx, m, m.vanished(d), func(at study.Digest, participant int64) {
		r.vanished[at] = append(r.vanished[at], participant)
	})
}

// digests hands on a digest of all that the source alone says of each participant.
func (r *renames) digests(ctx context.Context, tx Ingest, m *removal, participants []int64, each func(study.Digest, int64)) error {
	for chunk := range slices.Chunk(participants, chunkParticipants) {
		histories, err := tx.Histories(ctx, chunk)
		if err != nil {
			return err
		}
		for i := range histories {
			h := &histories[i]
			var lines []string
			m.each(h, m.alone, func(versions []study.VersionRef) {
				if v := newest(versions); v != nil && !v.Removed {
					lines = append(lines, line(v.Key.Form, keyOf(h, v.Key.VisitNo), v.Key.Occurrence, v.Hash))
				}
			})
			each(digest(lines), h.Participant.ID)
		}
	}
	return nil
}

// meet compares a new participant with those who vanished.
func (r *renames) meet(participant int64, news []study.Record) {
	if len(r.vanished) == 0 {
		return
	}
	last := map[string]*study.Record{} // by key: the one that becomes current
	for i := range news {
		n := &news[i]
		key := line(n.Form, n.Visit.Key, n.Occurrence, [16]byte{})
		if before, again := last[key]; !again || n.Order().Replaces(before.Order()) {
			last[key] = n
		}
	}
	var lines []string
	for _, n := range last {
		if !n.Removed {
			lines = append(lines, line(n.Form, n.Visit.Key, n.Occurrence, n.Hash))
		}
	}
	for _, old := range r.vanished[digest(lines)] {
		r.suspects[participant], r.suspects[old] = true, true
	}
}

// stays reports whether nothing of a participant is removed: it may live on under
// another identifier, and nobody has said that it does not.
func (r *renames) stays(h *study.History) bool {
	return r.suspects[h.Participant.ID] || slices.ContainsFunc(h.Deviations, func(d study.Deviation) bool {
		return d.DeviationKey == renamed && d.Evidence == vanishedEvidence && d.State != study.Resolved && stateOf(h, d) == study.Open
	})
}

// hold makes the violation of a suspect. fresh says which of the two it is.
func (r *renames) hold(h *study.History, fresh bool, news []study.Record, v *study.Judgement) {
	d := study.Deviation{DeviationKey: renamed, Kind: study.IsViolation, State: study.Open, Evidence: vanishedEvidence}
	if fresh {
		d.Evidence = freshEvidence
		holdAll(h, news, v)
	}
	d.State = stateOf(h, d)
	v.Deviations = append(v.Deviations, d)
	slices.SortFunc(v.Deviations, compareDeviations)
}

// holdAll holds every live record of a participant that is not held yet.
func holdAll(h *study.History, news []study.Record, v *study.Judgement) {
	held := map[study.RecordKey]bool{}
	for _, hold := range v.Holds {
		held[hold.Key] = true
	}
	hold := func(k study.RecordKey) {
		if !held[k] {
			held[k] = true
			v.Holds = append(v.Holds, study.Hold{Key: k, Code: study.IdentityConflict})
		}
	}
	of := versionsByKey(h.Versions)
	for i := range h.Versions {
		if now := newest(of(h.Versions[i].Key)); now != nil && !now.Removed {
			hold(now.Key)
		}
	}
	for i := range news {
		if v.Blocked[i] == "" && !news[i].Removed {
			hold(study.RecordKey{Form: news[i].Form, VisitNo: v.VisitNo[i], Occurrence: news[i].Occurrence})
		}
	}
}

func line(form int, visit, occurrence string, hash [16]byte) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(form))) + string(hash[:]) + visit + "\x1f" + occurrence
}

func digest(lines []string) study.Digest {
	slices.Sort(lines)
	return sha256.Sum256([]byte(strings.Join(lines, "\x1e")))
}
