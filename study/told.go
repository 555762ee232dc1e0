package study

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Landing is an object's place in the order of landing.
type Landing struct {
	Batch int64     // that first read it
	At    time.Time // when; never before that of an earlier batch
}

// Told is a fact's place in order: it is as of when its source modified the row
// that says it or, where the source does not say, of when the row's object landed.
// So the order of any two is the same, whichever is heard first.
type Told struct {
	At         int64 // microseconds since 1970
	Landed     int64 // batch that first read the object
	Ordinal    int64 // of the row
	Precedence int32 // of the source
	Dated      bool  // At is of the row
}

// ToldBy is the place in order of what r says; at is its object's.
func ToldBy(r *Record, at Landing) Told {
	t := Told{Landed: at.Batch, Ordinal: r.Ordinal, Precedence: r.Precedence}
	if !r.Modified.IsZero() {
		t.At, t.Dated = r.Modified.UnixMicro(), true
	} else if !at.At.IsZero() {
		t.At = at.At.UnixMicro()
	}
	return t
}

// Known reports whether it is known when the fact was told. It is not of facts
// told before that was kept; whatever is told after them counts.
func (t Told) Known() bool { return t.At != 0 || t.Dated }

// Replaces reports whether what was told at t, and heard after it, counts instead
// of what was told at than. A row that is read again replaces what it said.
func (t Told) Replaces(than Told) bool {
	again := t.Ordinal > 0 && t.Ordinal == than.Ordinal && t.Landed == than.Landed
	if again || !t.Known() || !than.Known() {
		return t.Precedence >= than.Precedence
	}
	return t.compare(than) >= 0
}

// After reports whether t is later than than, row by row. What is told at a time
// unknown is before all else.
func (t Told) After(than Told) bool {
	return cmp.Or(t.compare(than), cmp.Compare(t.Ordinal, than.Ordinal)) > 0
}

func (t Told) compare(than Told) int {
	switch {
	case t.Precedence != than.Precedence:
		return cmp.Compare(t.Precedence, than.Precedence)
	case t.At != than.At:
		return cmp.Compare(t.At, than.At)
	}
	return cmp.Compare(t.Landed, than.Landed)
}

// Renews reports whether hearing the same again at t changes when it was told.
// Sources that do not say when they modify rows repeat themselves with every
// export: there, what counts is when they first said it.
func (t Told) Renews(told Told) bool {
	renewed := t.Precedence != told.Precedence || t.Dated != told.Dated || t.Dated && t.At != told.At
	return renewed && t.Replaces(told)
}

// String packs t: modified (m) or landed (l) at, batch, row, precedence; "" when
// not known.
func (t Told) String() string {
	if !t.Known() {
		return ""
	}
	b := []byte{'l'}
	if t.Dated {
		b[0] = 'm'
	}
	b = strconv.AppendInt(b, t.At, 10)
	for _, n := range [...]int64{t.Landed, t.Ordinal} {
		b = strconv.AppendInt(append(b, '/'), n, 10)
	}
	if t.Precedence != 0 {
		b = strconv.AppendInt(append(b, '/'), int64(t.Precedence), 10)
	}
	return string(b)
}

// ParseTold reads what String packed; what it did not is not known.
func ParseTold(packed string) Told {
	if packed == "" || packed[0] != 'm' && packed[0] != 'l' {
		return Told{}
	}
	t := Told{Dated: packed[0] == 'm'}
	var n [4]int64 // we wrote them: digits, a minus before some
	sign, i := int64(1), 0
	for _, c := range []byte(packed[1:]) {
		switch {
		case c == '/' && i < len(n)-1:
			sign, i = 1, i+1
		case c == '-':
			sign = -1
		default:
			n[i] = n[i]*10 + sign*int64(c-'0')
		}
	}
	t.At, t.Landed, t.Ordinal, t.Precedence = n[0], n[1], n[2], int32(n[3])
	return t
}

// VisitTold says when the dates of a visit were told.
type VisitTold struct{ Actual, Planned, Declared Told }

// String packs v, "" when nothing is known.
func (v VisitTold) String() string {
	packed := v.Actual.String() + "," + v.Planned.String() + "," + v.Declared.String()
	return strings.TrimRight(packed, ",")
}

// ParseVisitTold reads what String packed.
func ParseVisitTold(packed string) (v VisitTold) {
	for _, to := range [...]*Told{&v.Actual, &v.Planned, &v.Declared} {
		var one string
		one, packed, _ = strings.Cut(packed, ",")
		*to = ParseTold(one)
	}
	return v
}

// Telling is what was told of a participant as a whole, and when. Value "" is
// nothing told.
type Telling struct {
	Value string
	Told
}

// Hear takes over what was told at a time, unless something later is known; it
// reports whether it did.
func (t *Telling) Hear(value string, at Told) bool {
	if value == t.Value && !at.Renews(t.Told) || !at.Replaces(t.Told) {
		return false
	}
	t.Value, t.Told = value, at
	return true
}

// Tellings are what the rows of all sources told of a participant as a whole, of
// each fact the last.
type Tellings struct {
	Site      Telling
	Withdrawn Telling // the day
	Status    Telling
	Since     Telling // a status and its day
	Withdrew  Telling // the day of the status withdrawn
	Enrolled  Telling // the status enrolled: it takes back a withdrawal told before
}

func (t *Tellings) named() [6]struct {
	name string
	*Telling
} {
	return [...]struct {
		name string
		*Telling
	}{{"site", &t.Site}, {"withdrawn", &t.Withdrawn}, {"status", &t.Status}, {"since", &t.Since}, {"withdrew", &t.Withdrew}, {"enrolled", &t.Enrolled}}
}

// Pack writes tellings as one line: name=value@told, separated by FieldSeparator.
func (t *Tellings) Pack() string {
	var b strings.Builder
	for _, f := range t.named() {
		if f.Value == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(FieldSeparator)
		}
		b.WriteString(f.name + "=" + escapeFact.Replace(f.Value) + "@" + f.Told.String())
	}
	return b.String()
}

// UnpackTellings reads what Pack wrote.
func UnpackTellings(packed string) (t Tellings) {
	named := t.named()
	for line := range strings.SplitSeq(packed, string(FieldSeparator)) {
		name, rest, _ := strings.Cut(line, "=")
		value, told, _ := strings.Cut(rest, "@")
		for _, f := range named {
			if f.name == name {
				f.Value, f.Told = unescapeFact.Replace(value), ParseTold(told)
			}
		}
	}
	return t
}
