package pipeline

import (
	"bufio"
	"encoding/binary"
	"io"
	"time"

	"longitude/study"
)

// recordWriter and recordReader are the private format of spilled runs: each
// record is its length and its fields in declaration order. It lives for one
// object in one process and has no version.
type recordWriter struct {
	w   *bufio.Writer
	buf []byte
}

func (w *recordWriter) write(r *study.Record) error {
	b := w.buf[:0]
	for _, n := range [...]int64{r.Participant, r.Ordinal, r.Line, int64(r.Form), int64(r.Visit.Type), micros(r.Modified),
		int64(r.Entered), int64(r.Withdrawn), int64(r.Consented), int64(r.KeyVersion), bit(r.Visit.Reason), int64(r.Visit.Unsaid),
		int64(r.StatusOn), int64(r.Change), bit(r.Removed), r.Landed, int64(r.Precedence)} {
		b = binary.AppendVarint(b, n)
	}
	for _, s := range [...]string{r.Site, r.Occurrence, r.Visit.Key, r.Visit.Actual.String(), r.Visit.Planned.String(),
		r.Visit.Declared.String(), r.Answers, r.Missing, r.Findings, string(r.Status)} {
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
	w.buf = b
	var size [binary.MaxVarintLen64]byte
	if _, err := w.w.Write(size[:binary.PutUvarint(size[:], uint64(len(b)))]); err != nil {
		return err
	}
	_, err := w.w.Write(b)
	return err
}

type recordReader struct {
	r    *bufio.Reader
	rest []byte // of the record being read
}

// read fills r; its strings are its own. The error is io.EOF at the end of the run.
func (d *recordReader) read(r *study.Record) error {
	size, err := binary.ReadUvarint(d.r)
	if err != nil {
		return err
	}
	d.rest = make([]byte, size)
	if _, err := io.ReadFull(d.r, d.rest); err != nil {
		return io.ErrUnexpectedEOF
	}
	*r = study.Record{Participant: d.int(), Ordinal: d.int(), Line: d.int(), Form: int(d.int())}
	r.Visit.Type, r.Modified = int(d.int()), fromMicros(d.int())
	r.Entered, r.Withdrawn, r.Consented = study.Date(d.int()), study.Date(d.int()), study.Date(d.int())
	r.KeyVersion, r.Visit.Reason, r.Visit.Unsaid = int(d.int()), d.int() == 1, study.Unsaid(d.int())
	r.StatusOn, r.Change, r.Removed, r.Landed = study.Date(d.int()), study.ChangeReason(d.int()), d.int() == 1, d.int()
	r.Precedence = int32(d.int())
	r.Site, r.Occurrence, r.Visit.Key = d.text(), d.text(), d.text()
	r.Visit.Actual, r.Visit.Planned, r.Visit.Declared = d.date(), d.date(), d.date()
	r.Answers, r.Missing, r.Findings, r.Status = d.text(), d.text(), d.text(), study.ParticipantStatus(d.text())
	d.rest = d.rest[copy(r.Hash[:], d.rest):]
	if box := d.bytes(); len(box) > 0 {
		r.SealedRaw = box
	}
	for n := d.uint(); n > 0; n-- {
		r.Sealed = append(r.Sealed, study.SealedItem{Field: int(d.int()), Box: d.bytes()})
	}
	for n := d.uint(); n > 0; n-- {
		r.Facts = append(r.Facts, study.Fact{Index: int(d.int()), Value: d.text()})
	}
	return nil
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

func (d *recordReader) date() study.PartialDate {
	p, _ := study.ParsePartialDate(d.text()) // written by String; "" is no date
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
