package study

import (
	"math"
	"strconv"
	"strings"
)

// UntoldMark stands in the answers of a record for a field of which its row says
// nothing, which is not the same as saying that there is nothing. It is never
// stored: what was known of the field before takes its place.
const UntoldMark = "\x15"

// Extent says how much of a record a row of its source tells.
type Extent uint8

// Most sources tell every record whole. Where some rows tell only what changed, all
// rows of the source say which they are.
const (
	ToldWhole  Extent = iota // by a source that knows nothing else
	ToldAll                  // by a source that could tell less
	ToldInPart               // the fields that hold UntoldMark were not told
)

// Part is what a record needs beside its answers where its source may tell only
// what changes.
type Part struct {
	Extent  Extent
	Fields  string         // told, once merged: their places in the form, comma separated
	Derived bool           // no row says it: it is what earlier rows come to, once one of them came late or was read otherwise
	Digests []SealedDigest // of what the record seals; in order of fields
	Rank    Rank
}

// SealedDigest is the keyed digest of a sealed value: what the content hash says of it.
type SealedDigest struct {
	Field  int // or PrivateReason
	Digest Digest
}

// Rank is the place of a record among the versions of its key where merging, and
// not its order alone, says which is current.
type Rank int8

// A record that was merged repeats what is stored, is history, follows all that is
// stored in order, or counts now whatever its order; what renews counts now, and is
// another reading of a row that is stored.
const (
	Unranked Rank = iota // it was not merged
	Repeats
	Past
	Follows
	Current
	Renews
)

// InPart reports whether the record's row tells only some of its fields.
func (r *Record) InPart() bool { return r.Part != nil && r.Part.Extent == ToldInPart }

// ranked is the order of a record that merging has ranked.
func (r *Record) ranked() Order {
	if r.Part.Rank < Current {
		return Order{Precedence: math.MinInt32}
	}
	return Order{r.Precedence, r.Modified, math.MaxInt64, math.MaxInt64}
}

// FieldPlaces packs places of fields.
func FieldPlaces(fields []int) string {
	var b []byte
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(f), 10)
	}
	return string(b)
}

// ParseFieldPlaces reads what FieldPlaces packed.
func ParseFieldPlaces(packed string) (fields []int) {
	if packed == "" {
		return nil
	}
	for place := range strings.SplitSeq(packed, ",") {
		n, _ := strconv.Atoi(place) // we wrote it
		fields = append(fields, n)
	}
	return fields
}

// VersionID names a version of a record.
type VersionID struct {
	Participant int64
	Key         RecordKey
	Version     int32
}

// VersionContent is what a stored version says, in today's order of fields.
type VersionContent struct {
	Answers, Missing, Findings string
	Fields                     []int          // that its row told; of a version told in part
	Digests                    []SealedDigest // empty: not kept of it
}
