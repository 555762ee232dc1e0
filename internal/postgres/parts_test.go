package postgres

import (
	"reflect"
	"slices"
	"testing"

	"longitude/internal/lineage"
	"longitude/study"
)

// What merging keeps of versions told in part comes back with their histories, and
// with what they say.
func TestVersionsToldInPart(t *testing.T) {
	s := open(t, amd())
	in := begin(t, s, "amd-obs")
	number := participants(t, in, "A")[0]
	if h, err := in.Histories(t.Context(), []int64{number}); err != nil || h[0].InParts {
		t.Fatalf("%+v, %v", h, err)
	}
	in.past.inParts = nil // asked before there were any
	whole, part, derived := packed(number, 1, "R", 1, "x"), packed(number, 1, "R", 2, "y"), packed(number, 1, "R", 3, "z")
	digests := []study.SealedDigest{{Field: study.PrivateReason, Digest: study.Digest{1}}, {Field: 2, Digest: study.Digest{2}}}
	whole.Record.Part = &study.Part{Extent: study.ToldAll, Digests: digests}
	part.Record.Part = &study.Part{Extent: study.ToldInPart, Fields: "0,2"}
	derived.Record.Part = &study.Part{Derived: true, Digests: digests[1:]}
	if err := in.Write(t.Context(), &study.Changes{Records: []study.RecordVersion{whole, part, derived}}); err != nil {
		t.Fatal(err)
	}
	h, err := in.Histories(t.Context(), []int64{number})
	if err != nil || !h[0].InParts || len(h[0].Versions) != 3 {
		t.Fatalf("%+v, %v", h, err)
	}
	ids, got := []study.VersionID(nil), [][2]bool(nil)
	for _, v := range h[0].Versions {
		got = append(got, [2]bool{v.InPart, v.Derived})
		ids = append(ids, study.VersionID{Participant: number, Key: v.Key, Version: v.Version})
	}
	if want := [][2]bool{{false, false}, {true, false}, {false, true}}; !reflect.DeepEqual(got, want) {
		t.Errorf("in part and derived: %v", got)
	}
	contents, err := in.Contents(t.Context(), []study.VersionID{ids[2], ids[1], ids[0]})
	if err != nil || !reflect.DeepEqual(contents[1].Fields, []int{0, 2}) || !reflect.DeepEqual(contents[0].Digests, digests[1:]) ||
		!reflect.DeepEqual(contents[2].Digests, digests) || contents[2].Answers != whole.Record.Answers {
		t.Errorf("%+v, %v", contents, err)
	}
}

func TestFieldsInAnotherOrder(t *testing.T) {
	order := []int{2, -1, 0} // today's fields in the shape that was
	if got := replaced([]int{0, 1, 2}, order); !reflect.DeepEqual(got, []int{0, 2}) {
		t.Errorf("%v", got)
	}
	digests := []study.SealedDigest{{Field: study.PrivateReason}, {Field: 0}, {Field: 1}}
	if got := replacedDigests(digests, order); !reflect.DeepEqual(got, []study.SealedDigest{{Field: study.PrivateReason}, {Field: 2}}) {
		t.Errorf("%v", got)
	}
}

// A row of a record told in part was made of every version that told what it still says.
func TestLineageOfWhatWasToldInPart(t *testing.T) {
	s := open(t, amd())
	in := begin(t, s, "amd-obs")
	number := participants(t, in, "A")[0]
	var changes study.Changes
	for i, fields := range []string{"", "0,2", "1", "1"} {
		v := packed(number, 1, "R", int32(i+1), "x")
		if fields != "" {
			v.Record.Part = &study.Part{Extent: study.ToldInPart, Fields: fields}
		}
		changes.Records = append(changes.Records, v)
	}
	if err := in.Write(t.Context(), &changes); err != nil {
		t.Fatal(err)
	}
	finish(t, in, batch("a", "1", 0))
	made, err := s.Made(t.Context(), "amd-obs", Row{Participant: number, Kind: lineage.OfRecord, VisitNo: 1, Form: acuityForm, Occurrence: "R"}, in.Batch())
	var got []int32
	for _, v := range made {
		got = append(got, v.Version)
	}
	if want := []int32{4, 2, 1}; err != nil || !slices.Equal(got, want) {
		t.Errorf("versions %v, want %v; %v", got, want, err)
	}
}
