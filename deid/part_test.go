package deid

import (
	"slices"
	"strings"
	"testing"

	"longitude/study"
)

// A record that was merged has the hash of a row that tells all of it at once, what it
// seals opens under that hash, and nothing that was not told counts.
func TestMergedHash(t *testing.T) {
	in := testIntake(t, testStudy(), testKeys("k"))
	whole, err := in.Seal(new(draft()), 1)
	if err != nil || whole.Part != nil {
		t.Fatalf("part %v of a source that tells records whole, %v", whole.Part, err)
	}
	part := draft()
	part.Extent, part.Answers, part.Missing = study.ToldInPart, pack(study.UntoldMark, "14.5", study.UntoldMark, study.SealedMark, study.UntoldMark), ""
	r, err := in.Seal(&part, 1)
	if err != nil || !r.InPart() || len(r.Part.Digests) != 2 || r.Hash == whole.Hash {
		t.Fatalf("%+v, %v", r.Part, err)
	}
	r.Answers, r.Missing = whole.Answers, whole.Missing // merged
	if err := in.Merged(&r, [16]byte{}); err != nil || r.Hash != whole.Hash {
		t.Errorf("another hash than that of a whole row, %v", err)
	}
	for _, sealed := range r.Sealed {
		want := map[int]string{3: "brother of Mrs Smith", study.PrivateReason: "snow", study.PrivateAuthor: "nurse@site"}[sealed.Field]
		if got, err := OpenPrivate(testKeys("k"), "amd-obs-01", 1, "va", Slot(&testStudy().Forms[0], sealed.Field), r.Hash, sealed.Box); err != nil || got != want {
			t.Errorf("slot %d: %q, %v", sealed.Field, got, err)
		}
	}
	// A sealed value of which no digest was kept counts as what the version before said.
	unknown := func(before byte) [16]byte {
		u := r
		u.Sealed, u.Part = nil, &study.Part{Extent: study.ToldInPart}
		if err := in.Merged(&u, [16]byte{before}); err != nil {
			t.Fatal(err)
		}
		return u.Hash
	}
	if one, again := unknown(1), unknown(1); one != again || one == unknown(2) || one == r.Hash {
		t.Error("the hash of a value that is not known does not follow from the version before")
	}
}

// What is not told may stand in a record told in part only, and is no value there.
func TestUntoldOnlyInPart(t *testing.T) {
	in := testIntake(t, testStudy(), testKeys("k"))
	for _, extent := range []study.Extent{study.ToldWhole, study.ToldAll} {
		d := draft()
		d.Extent, d.Answers = extent, strings.Replace(d.Answers, "14.5", study.UntoldMark, 1)
		if _, err := in.Seal(&d, 1); err == nil {
			t.Errorf("extent %d: what was not told passed for a value", extent)
		}
	}
}

// Masked digests say nothing of each other, and come back.
func TestMaskedDigests(t *testing.T) {
	in := testIntake(t, testStudy(), testKeys("k"))
	digests := []study.SealedDigest{{Field: 3, Digest: study.Digest{7}}}
	id := study.VersionID{Participant: 1, Key: study.RecordKey{VisitNo: 1, Occurrence: "R"}, Version: 1}
	masked := in.Masked(id, digests)
	if slices.Equal(masked, digests) || !slices.Equal(in.Masked(id, masked), digests) {
		t.Error("a mask does not come off, or is none")
	}
	for _, other := range []study.VersionID{{Participant: 2, Key: id.Key, Version: 1}, {Participant: 1, Key: id.Key, Version: 2}, {Participant: 1, Key: study.RecordKey{VisitNo: 2, Occurrence: "R"}, Version: 1}} {
		if slices.Equal(in.Masked(other, digests), masked) {
			t.Error("equal texts of two versions look equal")
		}
	}
}
