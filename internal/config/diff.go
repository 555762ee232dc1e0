package config

import (
	"slices"
	"strings"

	"longitude/study"
)

// Class says what a change of a document does to data that were accepted.
type Class string

// The classes, from the mildest to the gravest.
const (
	NoEffect    Class = "none"        // data and verdicts stay; it counts from the next run or release
	Additive    Class = "additive"    // more can be said; what was said stays
	Rejudge     Class = "rejudge"     // verdicts are made again, data stay
	Replay      Class = "replay"      // the source's objects are read again
	Destructive Class = "destructive" // accepted data would be dropped, or judged by other rules than those they came under
)

var gravity = []Class{NoEffect, Additive, Rejudge, Replay, Destructive}

// Change is one thing that a document says otherwise than before.
type Change struct {
	Path  string `json:"path"` // of what changed: visits.month_3.window
	Text  string `json:"text"` // a plain sentence with before and after
	Class Class  `json:"class"`
}

// Gravest is the class of the gravest of the changes; NoEffect where there is none.
func Gravest(changes []Change) Class {
	gravest := 0
	for _, c := range changes {
		gravest = max(gravest, slices.Index(gravity, c.Class))
	}
	return gravity[gravest]
}

// Compare lists what new says otherwise than old, in the order of new, then what
// it no longer says. The order in which things are written is no change. An
// amendment adds to the protocol only if it takes effect after today, and after
// all others.
func Compare(old, new *study.Study, today study.Date) []Change {
	before, after := studyTraits(old), studyTraits(new)
	changes := diff(before, after)
	for i := range changes {
		version, ok := strings.CutPrefix(changes[i].Path, "amendments[")
		if version, whole := strings.CutSuffix(version, "]"); ok && whole && changes[i].Class == Additive && !newest(old, new, version, today) {
			changes[i].Class = Destructive
		}
	}
	return changes
}

// newest reports whether a version of new takes effect after all of old, so that
// and at every site after today, so that no visit is judged by it that another
// version was meant for.
func newest(old, new *study.Study, version string, today study.Date) bool {
	i := slices.IndexFunc(new.Versions, func(v study.ProtocolVersion) bool { return v.Version == version })
	if i < 0 || new.Versions[i].Effective <= today {
		return false
	}
	for _, on := range new.Versions[i].Sites {
		if on.Known() && on <= today {
			return false
		}
	}
	return !slices.ContainsFunc(old.Versions, func(v study.ProtocolVersion) bool {
		return v.Effective.Known() && v.Effective >= new.Versions[i].Effective
	})
}

// CompareSources is Compare for sources.
func CompareSources(old, new *study.Source) []Change {
	return diff(sourceTraits(old), sourceTraits(new))
}

// trait is one thing that a document says: that something is there, or what its
// value is.
type trait struct {
	path, subject  string // visits.month_3.window, "window of month_3"
	value          string // as a person reads it
	isValue        bool
	added, removed Class                      // of something that is there
	weigh          func(old, new trait) Class // of a value
	of             any                        // what a weigh looks at
}

// traits is a document in plain words, in the order written.
type traits struct{ list []trait }

// thing says that something is there.
func (t *traits) thing(path, subject string, added, removed Class) {
	t.list = append(t.list, trait{path: path, subject: subject, added: added, removed: removed})
}

// value says what something is; class is that of any change.
func (t *traits) value(path, subject, value string, class Class) {
	t.weighed(path, subject, value, nil, func(trait, trait) Class { return class })
}

// weighed is value where the class depends on before and after.
func (t *traits) weighed(path, subject, value string, of any, weigh func(old, new trait) Class) {
	t.list = append(t.list, trait{path: path, subject: subject, value: value, isValue: true, of: of, weigh: weigh})
}

// diff compares two documents trait by trait. Of something that came or went only
// that is said, nothing of what belongs to it.
func diff(old, new traits) []Change {
	var changes []Change
	before := make(map[string]trait, len(old.list))
	for _, t := range old.list {
		before[t.path] = t
	}
	after := make(map[string]bool, len(new.list))
	whole := ""
	for _, t := range new.list {
		after[t.path] = true
		was, known := before[t.path]
		switch {
		case whole != "" && strings.HasPrefix(t.path, whole):
		case !t.isValue && !known:
			whole = t.path + "."
			changes = append(changes, Change{t.path, t.subject + " is new", t.added})
		case t.isValue && !known:
			changes = append(changes, became(t, trait{value: "as before", of: t.of}, t))
		case t.isValue && was.value != t.value:
			changes = append(changes, became(t, was, t))
		}
	}
	whole = ""
	for _, t := range old.list {
		switch {
		case after[t.path], whole != "" && strings.HasPrefix(t.path, whole):
		case t.isValue:
			changes = append(changes, became(t, t, trait{value: "as before", of: t.of}))
		default:
			whole = t.path + "."
			changes = append(changes, Change{t.path, t.subject + " is removed", t.removed})
		}
	}
	return changes
}

func became(t, old, new trait) Change {
	return Change{t.path, t.subject + ": " + or(old.value, "none") + " becomes " + or(new.value, "none"), t.weigh(old, new)}
}
