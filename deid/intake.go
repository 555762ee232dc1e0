package deid

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

// Intake is door 1 for one source of one study: nothing is stored that did not
// pass it. It is for one goroutine; making one costs a few key derivations.
type Intake struct {
	study, namespace, prefix string
	drawn                    bool // codes are random

	codes, blind, content *mac
	vault                 *sealer
	forms                 []formGuard
	facts                 []study.FactSource

	known map[string]Identity // identities seen lately, by source text

	// Scratch of one Seal.
	cells   []string
	reasons []string
	private []int // per field: 1 + index in Draft.Private, 0 = none
	buf     []byte
}

// maxKnown bounds the memory of Identify (about 20 MB).
const maxKnown = 1 << 16

// Identity is what door 1 makes of a participant's identifier.
type Identity struct {
	Code  string       // participant code: PREFIX-XXXXXXXXXXXXXXXXXXXX; "" where codes are random, see Intake.CodeOf
	Blind study.Digest // keyed: finds the identity again in the vault
	Box   []byte       // the identifier as the source wrote it, sealed; bound to Blind
	Canon int          // version of the canonicalisation, see Canon
}

// NewIntake derives the keys of door 1. random feeds the nonces of sealed
// values. It is an error when the study has no keys yet.
func NewIntake(s *study.Study, src *study.Source, k Keys, random io.Reader) (*Intake, error) {
	in := &Intake{study: s.Name, namespace: src.Map.Namespace, prefix: s.CodePrefix + "-", drawn: s.Deid.Pseudonym == Random,
		facts: s.Facts, known: map[string]Identity{}}
	var err error
	for _, m := range []struct {
		mac             **mac
		purpose, domain string
	}{
		{&in.codes, PurposeParticipant, s.Name},
		{&in.blind, PurposeBlind, ""},
		{&in.content, PurposeContent, ""},
	} {
		if *m.mac, err = newMAC(k, s.Name, m.purpose, m.domain); err != nil {
			return nil, err
		}
	}
	if in.vault, err = newSealer(k, s.Name, "", random); err != nil {
		return nil, err
	}
	for i := range s.Forms {
		in.forms = append(in.forms, newFormGuard(&s.Forms[i]))
	}
	return in, nil
}

// KeyVersion is the version of the keys that this Intake seals with; it is
// stored beside every box.
func (in *Intake) KeyVersion() int { return int(in.vault.version) }

// Identify turns the identifier as the source wrote it into the participant's
// identity, with its code unless codes are random. The second result is the rule that refuses it, "" when accepted.
func (in *Intake) Identify(source string) (Identity, string) {
	if id, ok := in.known[source]; ok {
		return id, ""
	}
	canon, rule := canonical(source)
	if rule != "" {
		return Identity{}, rule
	}
	id := Identity{Blind: in.blind.of(in.namespace, canon), Canon: canonVersion}
	if !in.drawn {
		id.Code = token(in.prefix, in.codes.of(in.study, in.namespace, canon), codeChars)
	}
	id.Box = in.vault.seal([]byte(source), in.vault.identityBinding(in.study, id.Blind))
	if len(in.known) >= maxKnown {
		clear(in.known)
	}
	in.known[source] = id
	return id, ""
}

// Seal takes a draft through door 1. The answers must be typed and the private
// values sealed away: anything else is a mistake of the program, not of the
// data, and stops the run (deid.untyped).
func (in *Intake) Seal(d *study.Draft, participant int64) (study.Record, error) {
	if d.Form < 0 || d.Form >= len(in.forms) {
		return study.Record{}, in.untyped(d, "", "the form is not one of the study's")
	}
	f := &in.forms[d.Form]
	if field, why := in.check(f, d); why != "" {
		return study.Record{}, in.untyped(d, f.name+"."+field, why)
	}
	rec := study.Record{
		Participant: participant,
		Ordinal:     d.Ordinal, Line: d.Line, Site: d.Site,
		Form: d.Form, Occurrence: in.unnamed(d.Occurrence), Visit: d.Visit,
		Modified: d.Modified, Entered: d.Entered, Withdrawn: d.Withdrawn, Consented: d.Consented,
		Status: d.Status, StatusOn: d.StatusOn, Change: d.Change, Removed: d.Removed, Facts: d.Facts,
		Answers: in.digested(f, d), Missing: d.Missing, Findings: d.Findings,
		Hash: in.contentHash(f, d), KeyVersion: in.KeyVersion(),
	}
	rec.Visit.Key = in.unnamed(d.Visit.Key)
	if d.Extent != study.ToldWhole {
		rec.Part = in.part(f, d)
	}
	if len(d.Private) > 0 {
		rec.Sealed = make([]study.SealedItem, len(d.Private))
		for i, p := range d.Private {
			aad := in.vault.privateBinding(in.study, participant, f.name, f.slot(p.Field), rec.Hash)
			rec.Sealed[i] = study.SealedItem{Field: p.Field, Box: in.vault.seal([]byte(p.Text), aad)}
		}
	}
	if d.Raw != nil {
		rec.SealedRaw = in.SealRow(d.Raw)
	}
	return rec, nil
}

// digested is the packed answers with a keyed digest behind the mark of each
// attachment, by which the same one is recognised without being opened.
// It uses the scratch that check filled.
func (in *Intake) digested(f *formGuard, d *study.Draft) string {
	if !f.attaches || len(d.Private) == 0 {
		return d.Answers
	}
	for i := range f.fields {
		if field := &f.fields[i]; field.attached && in.private[i] > 0 {
			digest := in.content.of("attachment", f.name, field.name, d.Private[in.private[i]-1].Text)
			in.cells[i] = study.SealedMark + hex.EncodeToString(digest[:])
		}
	}
	return strings.Join(in.cells, string(study.FieldSeparator))
}

// Fingerprints are how transform writes source text that may not stand in a key:
// the prefix, then hex digits of a hash.
const (
	fingerprintPrefix = "u:"
	fingerprintLength = len(fingerprintPrefix) + 12
)

// unnamed keys the fingerprints that the parts of a visit key or an occurrence
// begin with: a plain hash of a name or a date is undone by trying names and dates.
func (in *Intake) unnamed(key string) string {
	for start := 0; start+fingerprintLength <= len(key); start++ {
		begins := start == 0 || key[start-1] == '/' || key[start-1] == '#'
		if end := start + fingerprintLength; begins && strings.HasPrefix(key[start:], fingerprintPrefix) {
			digest := in.content.of("fingerprint", key[start:end])
			key = key[:start] + fingerprintPrefix + hex.EncodeToString(digest[:6]) + key[end:]
		}
	}
	return key
}

func (in *Intake) untyped(d *study.Draft, where, why string) error {
	return &study.Error{Code: "deid.untyped", Op: "take a record through door 1 (" + where + "): " + why,
		Place: "row " + strconv.FormatInt(d.Ordinal, 10),
		Hint:  "this is a defect of Longitude, not of the data: nothing of this object was stored; please report it"}
}

// contentHash identifies what a record says, whatever the order of fields and
// however many empty columns its form or its file has grown or lost: the pairs
// (field, value), (field, missing reason) and (field, keyed digest of the private
// text), by field name. A column that the file lacks is no reason. The author and the reason of a change are left out: who saved a record and
// why is not what it says.
// It uses the scratch that check filled.
func (in *Intake) contentHash(f *formGuard, d *study.Draft) (h [16]byte) {
	b := in.buf[:0]
	for _, i := range f.byName {
		field, cell := &f.fields[i], in.cells[i]
		switch {
		case in.private[i] > 0:
			b = append(append(b, 's'), field.frame...)
			digest := in.content.of(f.name, field.name, d.Private[in.private[i]-1].Text)
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
	for _, p := range d.Private {
		if p.Field == study.PrivateReason {
			digest := in.content.of(f.name, f.slot(p.Field), p.Text)
			b = append(append(b, 'r'), digest[:]...)
		}
	}
	sum := sha256.Sum256(b)
	in.buf = b
	copy(h[:], sum[:])
	return h
}

// SealRow seals a row as landed, for quarantine and for records that a rule may
// still refuse.
func (in *Intake) SealRow(raw []byte) []byte {
	return in.vault.seal(raw, in.vault.binding("row", in.study))
}

// OpenRow is the inverse of SealRow.
func (in *Intake) OpenRow(box []byte) ([]byte, error) {
	return in.vault.open(box, in.vault.binding("row", in.study))
}

// RowDigest is the keyed digest by which a quarantined row is recognised when it
// comes again.
func (in *Intake) RowDigest(raw []byte) study.Digest {
	return in.content.of("row", string(raw))
}

// SealName seals the name of a file, which may hold a participant's name.
func (in *Intake) SealName(name string) []byte {
	return in.vault.seal([]byte(name), in.vault.binding("name", in.study))
}

// OpenName is the inverse of SealName.
func (in *Intake) OpenName(box []byte) (string, error) {
	plain, err := in.vault.open(box, in.vault.binding("name", in.study))
	return string(plain), err
}

// NameDigest is the keyed digest of a file's name, in hex: what is stored and
// logged in its place.
func (in *Intake) NameDigest(name string) string {
	digest := in.content.of("name", name)
	return hex.EncodeToString(digest[:])
}

// HeadingDigest is a keyed digest of the heading of a column, which may be somebody's
// name, in eight letters.
func (in *Intake) HeadingDigest(heading string) string {
	digest := in.content.of("heading", heading)
	letters := make([]byte, 0, 8)
	for _, b := range digest[:4] {
		letters = append(letters, 'a'+b>>4, 'a'+b&15)
	}
	return string(letters)
}

// OpenIdentity opens Identity.Box: the identifier as the source wrote it.
func OpenIdentity(k Keys, studyName string, blind study.Digest, box []byte) (string, error) {
	v, err := newSealer(k, studyName, "", nil)
	if err != nil {
		return "", err
	}
	plain, err := v.open(box, v.identityBinding(studyName, blind))
	return string(plain), err
}

// OpenPrivate opens a sealed value of a record. slot is Slot of its field; hash
// is the record version's content hash, to which the box is bound, so that
// values cannot be swapped between a participant's own visits either.
func OpenPrivate(k Keys, studyName string, participant int64, form, slot string, hash [16]byte, box []byte) (string, error) {
	v, err := newSealer(k, studyName, "", nil)
	if err != nil {
		return "", err
	}
	plain, err := v.open(box, v.privateBinding(studyName, participant, form, slot, hash))
	return string(plain), err
}

// Slot names a private item of f for the vault: the field's name, or what the
// negative slots of study.PrivateItem stand for. Names outlive indexes.
func Slot(f *study.Form, field int) string {
	switch {
	case field == study.PrivateReason:
		return "#reason"
	case field == study.PrivateAuthor:
		return "#author"
	case field == study.PrivateChangeReason:
		return "#change_reason"
	case field >= 0 && field < len(f.Fields):
		return f.Fields[field].Name
	}
	return ""
}

func (s *sealer) identityBinding(studyName string, blind study.Digest) []byte {
	return s.binding("identity", studyName, string(blind[:]))
}

func (s *sealer) privateBinding(studyName string, participant int64, form, slot string, hash [16]byte) []byte {
	return s.binding("private", studyName, strconv.FormatInt(participant, 10), form, slot, string(hash[:]))
}

// grow returns s with n zeroed elements, reusing its memory.
func grow[T any](s []T, n int) []T {
	s = slices.Grow(s[:0], n)[:n]
	clear(s)
	return s
}
