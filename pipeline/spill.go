package pipeline

import (
	"bytes"
	"encoding/binary"
	"time"

	"longitude/study"
)

// recordWriter and recordReader are the private format in which records wait to be
// sorted: what they are sorted by, then their other fields. It lives for one object
// in one process and has no version.
type recordWriter struct{ buf []byte }

// pack is r until the next call.
func (w *recordWriter) pack(r *study.Record) []byte {
	b := w.buf[:0]
	for _, n := range [...]int64{r.Participant, r.Ordinal, int64(r.Form), r.Line, int64(r.Visit.Type), micros(r.Modified),
		int64(r.Entered), int64(r.Withdrawn), int64(r.Consented), int64(r.KeyVersion), bit(r.Visit.Reason), int64(r.Visit.Unsaid),
		int64(r.StatusOn), int64(r.Change), bit(r.Removed), r.Landed, int64(r.Precedence)} {
		b = binary.AppendVarint(b, n)
	}
	for _, d := range [...]study.PartialDate{r.Visit.Actual, r.Visit.Planned, r.Visit.Declared} {
		b = appendDate(b, d)
	}
	for _, s := range [...]string{r.Site, r.Occurrence, r.Visit.Key, r.Answers, r.Missing, r.Findings, string(r.Status)} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b = append(b, r.Hash[:]...)
	b = append(binary.AppendUvarint(b, uint64(len(r.SealedRaw))), r.SealedRaw...)
	b = binary.AppendUvarint(b, uint64(len(r.Sealed)))
	for i := range r.Sealed {
		b = binary.AppendVarint(b, int64(r.Sealed[i].Field))
		b = append(binary.AppendUvarint(b, uint64(len(r.Sealed[i].Box))), r.Sealed[i].Box...)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Facts)))
	for _, f := range r.Facts {
		b = binary.AppendVarint(b, int64(f.Index))
		b = append(binary.AppendUvarint(b, uint64(len(f.Value))), f.Value...)
	}
	if r.Part != nil {
		b = binary.AppendVarint(b, int64(r.Part.Extent))
		b = binary.AppendUvarint(b, uint64(len(r.Part.Digests)))
		for _, d := range r.Part.Digests {
			b = append(binary.AppendVarint(b, int64(d.Field)), d.Digest[:]...)
		}
	}
	w.buf = b
	return b
}

// Dates known to the day are kept as such: most are, and a text takes long to write
// and to read.
const (
	dateNone = iota
	dateExact
	datePartial
)

func appendDate(b []byte, d study.PartialDate) []byte {
	switch {
	case !d.Known():
		return append(b, dateNone)
	case d.Exact():
		return binary.AppendVarint(append(b, dateExact), int64(d.First()))
	}
	s := d.String()
	return append(binary.AppendUvarint(append(b, datePartial), uint64(len(s))), s...)
}

type recordReader struct {
	rest  []byte            // of the record being read
	texts map[string]string // few and short, as sites and visits are: kept once
}

// orderOf is what a packed record is sorted by.
func orderOf(packed []byte) (o order) {
	d := recordReader{rest: packed}
	o.participant, o.ordinal, o.form = d.int(), d.int(), int32(d.int())
	return o
}

// read fills r; its strings are its own.
func (d *recordReader) read(packed []byte, r *study.Record) {
	d.rest = packed
	*r = study.Record{Participant: d.int(), Ordinal: d.int(), Form: int(d.int()), Line: d.int()}
	r.Visit.Type, r.Modified = int(d.int()), fromMicros(d.int())
	r.Entered, r.Withdrawn, r.Consented = study.Date(d.int()), study.Date(d.int()), study.Date(d.int())
	r.KeyVersion, r.Visit.Reason, r.Visit.Unsaid = int(d.int()), d.int() == 1, study.Unsaid(d.int())
	r.StatusOn, r.Change, r.Removed, r.Landed = study.Date(d.int()), study.ChangeReason(d.int()), d.int() == 1, d.int()
	r.Precedence = int32(d.int())
	r.Visit.Actual, r.Visit.Planned, r.Visit.Declared = d.date(), d.date(), d.date()
	r.Site, r.Occurrence, r.Visit.Key = d.word(), d.word(), d.word()
	r.Answers, r.Missing, r.Findings, r.Status = d.text(), d.word(), d.word(), study.ParticipantStatus(d.word())
	d.rest = d.rest[copy(r.Hash[:], d.rest):]
	if box := d.bytes(); len(box) > 0 {
		r.SealedRaw = bytes.Clone(box)
	}
	for n := d.uint(); n > 0; n-- {
		r.Sealed = append(r.Sealed, study.SealedItem{Field: int(d.int()), Box: bytes.Clone(d.bytes())})
	}
	for n := d.uint(); n > 0; n-- {
		r.Facts = append(r.Facts, study.Fact{Index: int(d.int()), Value: d.text()})
	}
	if len(d.rest) == 0 {
		return
	}
	r.Part = &study.Part{Extent: study.Extent(d.int())}
	for n := d.uint(); n > 0; n-- {
		of := study.SealedDigest{Field: int(d.int())}
		d.rest = d.rest[copy(of.Digest[:], d.rest):]
		r.Part.Digests = append(r.Part.Digests, of)
	}
}

func (d *recordReader) int() int64 {
	n, size := binary.Varint(d.rest)
	d.rest = d.rest[size:]
	return n
}

func (d *recordReader) uint() uint64 {
	n, size := binary.Uvarint(d.rest)
	d.rest = d.rest[size:]
	return n
}

func (d *recordReader) bytes() []byte {
	n := d.uint()
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *recordReader) text() string { return string(d.bytes()) }

// word is a text that many records share.
func (d *recordReader) word() string {
	b := d.bytes()
	if s, known := d.texts[string(b)]; known || len(b) == 0 {
		return s
	}
	s := string(b)
	if len(s) <= 32 && len(d.texts) < 4096 {
		d.texts[s] = s
	}
	return s
}

func (d *recordReader) date() study.PartialDate {
	kind := d.rest[0]
	d.rest = d.rest[1:]
	switch kind {
	case dateNone:
		return study.PartialDate{}
	case dateExact:
		return study.ExactDate(study.Date(d.int()))
	}
	p, _ := study.ParsePartialDate(d.text()) // written by String
	return p
}

const noTime = -1 << 63

func micros(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == noTime {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

func bit(v bool) int64 {
	if v {
		return 1
	}
	return 0
}
