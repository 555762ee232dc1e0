package deid

import (
	"crypto/sha256"
	"slices"
	"strconv"

	"longitude/study"
)

// part is what merging needs of a record: the digests of what it seals. It uses the
// scratch that check filled.
func (in *Intake) part(f *formGuard, d *study.Draft) *study.Part {
	p := &study.Part{Extent: d.Extent}
	for _, item := range d.Private {
		switch {
		case item.Field >= 0:
			p.Digests = append(p.Digests, study.SealedDigest{Field: item.Field, Digest: in.content.of(f.name, f.fields[item.Field].name, item.Text)})
		case item.Field == study.PrivateReason:
			p.Digests = append(p.Digests, study.SealedDigest{Field: item.Field, Digest: in.content.of(f.name, f.slot(item.Field), item.Text)})
		}
	}
	slices.SortFunc(p.Digests, func(a, b study.SealedDigest) int { return a.Field - b.Field })
	return p
}

// Merged gives a record that was merged with what was known of it the content hash of
// what it says now, the same that a row would have which told all of it at once, and
// binds what it seals to that. A sealed value of which no digest was kept counts as
// what the version hashed before said.
func (in *Intake) Merged(r *study.Record, before [16]byte) error {
	hash, err := in.mergedHash(r, before)
	if err != nil {
		return err
	}
	f := &in.forms[r.Form]
	for i := range r.Sealed {
		s := &r.Sealed[i]
		plain, err := in.vault.open(s.Box, in.vault.privateBinding(in.study, r.Participant, f.name, f.slot(s.Field), r.Hash))
		if err != nil {
			return err
		}
		s.Box = in.vault.seal(plain, in.vault.privateBinding(in.study, r.Participant, f.name, f.slot(s.Field), hash))
	}
	r.Hash = hash
	return nil
}

// mergedHash is contentHash of a record after the door.
func (in *Intake) mergedHash(r *study.Record, before [16]byte) (h [16]byte, err error) {
	f := &in.forms[r.Form]
	in.reasons = grow(in.reasons, len(f.fields))
	if !in.unpack(r.Answers, len(f.fields)) || !in.unpackReasons(r.Missing, len(f.fields)) {
		return h, in.untyped(&study.Draft{Ordinal: r.Ordinal}, f.name, "a merged record is not packed as its form")
	}
	b := in.buf[:0]
	for _, i := range f.byName {
		field, cell := &f.fields[i], in.cells[i]
		switch {
		case study.IsSealed(cell):
			b = append(append(b, 's'), field.frame...)
			digest := in.digestOf(r, i, before)
			b = append(b, digest[:]...)
		case cell != study.MissingMark:
			b = append(append(b, 'v'), field.frame...)
			b = appendFrame(b, cell)
		}
		if in.reasons[i] != "" && in.reasons[i] != study.NotAsked {
			b = append(append(b, 'm'), field.frame...)
			b = appendFrame(b, in.reasons[i])
		}
	}
	for _, d := range r.Part.Digests {
		if d.Field == study.PrivateReason {
			b = append(append(b, 'r'), d.Digest[:]...)
		}
	}
	sum := sha256.Sum256(b)
	in.buf = b
	copy(h[:], sum[:])
	return h, nil
}

func (in *Intake) digestOf(r *study.Record, field int, before [16]byte) study.Digest {
	i := slices.IndexFunc(r.Part.Digests, func(d study.SealedDigest) bool { return d.Field == field })
	if i < 0 {
		f := &in.forms[r.Form]
		r.Part.Digests = append(r.Part.Digests, study.SealedDigest{Field: field, Digest: in.content.of("unknown", f.name, f.fields[field].name, string(before[:]))})
		i = len(r.Part.Digests) - 1
	}
	return r.Part.Digests[i].Digest
}

// Masked hides the digests of a version that is stored, or shows them again: equal
// texts of two people must not look equal to who reads the records. The mask follows
// from the content key and the version; it is used for nothing else.
func (in *Intake) Masked(of study.VersionID, digests []study.SealedDigest) []study.SealedDigest {
	out, f := slices.Clone(digests), &in.forms[of.Key.Form]
	for i := range out {
		mask := in.content.of("mask", f.name, f.slot(out[i].Field), of.Key.Occurrence, strconv.FormatInt(of.Participant, 10),
			strconv.Itoa(int(of.Key.VisitNo)), strconv.Itoa(int(of.Version)))
		for k := range mask {
			out[i].Digest[k] ^= mask[k]
		}
	}
	return out
}
