package pipeline

import (
	"cmp"
	"slices"

	"longitude/study"
)

// arrival is a new record against the stored versions of its key.
type arrival struct {
	key     study.RecordKey
	record  *study.Record
	index   int   // among the new records
	version int32 // 0 = nothing new
	current bool  // it is, or becomes, the current version
}

// arrivals compares new records with the stored versions, key by key. versions
// is ordered by key, then version.
func arrivals(versions []study.VersionRef, news []study.Record, visitNo []int32, blocked []string) []arrival {
	out := make([]arrival, 0, len(news))
	for i := range news {
		if len(blocked) > 0 && blocked[i] != "" {
			continue
		}
		out = append(out, arrival{record: &news[i], index: i, key: study.RecordKey{Form: news[i].Form, VisitNo: visitNo[i], Occurrence: news[i].Occurrence}})
	}
	slices.SortStableFunc(out, func(a, b arrival) int { return compareKeys(a.key, b.key) })
	byKey := versionsByKey(versions)
	for start := 0; start < len(out); {
		end := start + 1
		for end < len(out) && out[end].key == out[start].key {
			end++
		}
		weigh(byKey(out[start].key), out[start:end])
		start = end
	}
	return out
}

func compareKeys(a, b study.RecordKey) int {
	return cmp.Or(cmp.Compare(a.Form, b.Form), cmp.Compare(a.VisitNo, b.VisitNo), cmp.Compare(a.Occurrence, b.Occurrence))
}

// inOrder puts stored versions in order of their keys: storage orders by its own
// form numbers.
func inOrder(versions []study.VersionRef) {
	slices.SortStableFunc(versions, func(a, b study.VersionRef) int { return compareKeys(a.Key, b.Key) })
}

// versionsByKey finds the stored versions of a key.
func versionsByKey(versions []study.VersionRef) func(study.RecordKey) []study.VersionRef {
	inOrder(versions)
	return func(k study.RecordKey) []study.VersionRef {
		start, found := slices.BinarySearchFunc(versions, k, func(v study.VersionRef, k study.RecordKey) int { return compareKeys(v.Key, k) })
		if !found {
			return nil
		}
		end := start
		for end < len(versions) && versions[end].Key == k {
			end++
		}
		return versions[start:end]
	}
}

// weigh decides what each arrival of one key is. Where it would be current, it is
// unchanged when it says what is current already; the arrivals of a key are also
// unchanged when they repeat its newest versions in order. What study.Order puts
// before the current version becomes history, once.
func weigh(stored []study.VersionRef, in []arrival) {
	merged := slices.ContainsFunc(in, func(a arrival) bool { return a.record.Part != nil && a.record.Part.Rank != study.Unranked })
	if !merged && repeats(stored, in) {
		return
	}
	next := int32(len(stored)) + 1
	var head *arrival // the newest of the arrivals
	now := standingOf(newest(stored))
	for i := range in {
		a := &in[i]
		if known(stored, in[:i], a, now) {
			continue
		}
		a.version = next
		next++
		if now.any && !a.record.Order().Replaces(now.order) {
			continue
		}
		if head != nil {
			head.current = false
		}
		a.current, head = true, a
		now = standing{any: true, removed: a.record.Removed, order: a.record.Order(), hash: a.record.Hash}
	}
}

// newest is the stored current version: the last that was not late.
func newest(stored []study.VersionRef) *study.VersionRef {
	for i := len(stored) - 1; i >= 0; i-- {
		if !stored[i].Late {
			return &stored[i]
		}
	}
	return nil
}

// standing is what is current before an arrival. A tombstone has no content.
type standing struct {
	any, removed bool
	void         bool // its row gives the record no more
	order        study.Order
	hash         [16]byte
}

func standingOf(v *study.VersionRef) standing {
	if v == nil {
		return standing{}
	}
	return standing{any: true, removed: v.Removed, void: v.Landed == 0 && v.BatchID > 0, order: v.Order(), hash: v.Hash}
}

// known reports whether the arrival says nothing new. A value may change back, so
// of what would be current only what is current counts, and one that the source
// modified later is new whatever it says. What is older is known when it is
// stored. A removal is nothing new of what is not there, or is there from later.
// Where only some say when they modified a record, who counts depends on who came
// first: there, what is stored stays as it is when it is read again.
func known(stored []study.VersionRef, before []arrival, a *arrival, now standing) bool {
	r := a.record
	if r.Part != nil {
		switch r.Part.Rank {
		case study.Repeats:
			return true
		case study.Past, study.Renews:
			return false
		}
	}
	older := now.any && !r.Order().Replaces(now.order)
	switch {
	case !now.void && r.Landed > 0 && mixed(stored, r) && says(stored, r):
		return true
	case r.Removed:
		return !now.any || now.removed || older
	case !now.any || now.void:
		return false
	case older:
		return has(stored, before, r)
	case r.Precedence > now.order.Precedence:
		return false // it says the same, and nobody below it may change that
	case !r.Modified.IsZero() && !now.order.Modified.IsZero() && r.Modified.After(now.order.Modified):
		return false
	}
	return !now.removed && now.hash == r.Hash
}

// mixed reports whether only some of the versions, and the record, tell when they
// were modified.
func mixed(stored []study.VersionRef, r *study.Record) bool {
	dated := !r.Modified.IsZero()
	return slices.ContainsFunc(stored, func(v study.VersionRef) bool {
		return !v.Removed && v.Landed > 0 && v.Modified.IsZero() == dated
	})
}

// says reports whether what is stored says what the record does: of its row the
// version that came last, else any.
func says(stored []study.VersionRef, r *study.Record) bool {
	any := false
	for i := len(stored) - 1; i >= 0; i-- {
		v := &stored[i]
		is := same(v.Hash, r.Hash, v.Removed, r.Removed)
		if v.Landed == r.Landed && v.Ordinal == r.Ordinal {
			return is
		}
		any = any || is && !r.Removed
	}
	return any
}

func has(stored []study.VersionRef, before []arrival, r *study.Record) bool {
	for i := range stored {
		if !stored[i].Removed && stored[i].Hash == r.Hash && stored[i].Modified.Equal(r.Modified) {
			return true
		}
	}
	for i := range before {
		if b := before[i].record; before[i].version > 0 && !b.Removed && b.Hash == r.Hash && b.Modified.Equal(r.Modified) {
			return true
		}
	}
	return false
}

// repeats reports whether the arrivals are, in order, the newest stored versions,
// the current one last.
func repeats(stored []study.VersionRef, in []arrival) bool {
	var said []*study.Record // without those that repeat the one before
	for i := range in {
		r := in[i].record
		if n := len(said); n == 0 || !same(said[n-1].Hash, r.Hash, said[n-1].Removed, r.Removed) || !said[n-1].Modified.Equal(r.Modified) {
			said = append(said, r)
		}
	}
	if n := len(stored); n < len(said) || stored[n-1].Late {
		return false
	}
	tail := stored[len(stored)-len(said):]
	for i := range tail {
		if i > 0 && said[i].Modified.Before(said[i-1].Modified) {
			return false // the last of them is not the one that counts
		}
		if !same(tail[i].Hash, said[i].Hash, tail[i].Removed, said[i].Removed) || !tail[i].Modified.Equal(said[i].Modified) ||
			tail[i].Precedence != said[i].Precedence {
			return false
		}
	}
	return true
}

// same compares contents: all removals are alike.
func same(a, b [16]byte, aRemoved, bRemoved bool) bool {
	return aRemoved == bRemoved && (aRemoved || a == b)
}
