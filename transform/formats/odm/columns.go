package odm

import (
	"slices"
	"strings"

	"longitude/study"
)

// The columns that are not the name of an attribute.
const (
	removed  = "Removed" // Yes: the source removed the row
	maxNames = 1 << 14   // OIDs learned of items that nobody asked for
	maxTold  = 1000      // of them that are reported
	maxOID   = 64        // bytes of a name that is reported
	yes      = "Yes"
)

// auditNames are the columns that an AuditRecord gives, in the order of audit.values.
var auditNames = []string{"DateTimeStamp", "UserOID", "ReasonForChange", "SourceID", "EditPoint"}

// asked is what the mapping asks for: per item and per attribute the columns.
type asked struct {
	columns    []string // that the object can have
	types      []string
	labels     []string
	items      map[string]*item
	attributes map[string][]int
	levels     bool    // attributes are asked for by their element, too
	audits     [][]int // by auditNames; nil = nobody asks
	removed    []int
	unasked    []string
	learned    int
}

// item is an item definition or an item seen.
type item struct {
	wants    []want
	defined  bool   // by the metadata of the object
	kind     string // as in transform.Rows.Types
	label    string
	reported bool
	missing  bool // asked for, but not defined, so it has no column
}

// want is a column that an item feeds where it lies in path, innermost last.
type want struct {
	column int
	path   []string
}

// ask sorts the columns of the mapping by what they name.
func ask(columns []string) (*asked, error) {
	a := &asked{columns: columns, items: map[string]*item{}, attributes: map[string][]int{}}
	for i, column := range columns {
		if name, ok := strings.CutPrefix(column, "@"); ok {
			a.askAround(name, i)
			continue
		}
		path, ok := pathOf(column)
		if !ok {
			return nil, &study.Error{Code: "odm.path", Op: "understanding a column of the mapping as a path of OIDs",
				Hint: `a path is "/IG.VITALS/I.SBP" or "/F.VITALS/IG.VITALS/I.SBP", with "~0" for "~" and "~1" for "/" in an OID`}
		}
		oid := path[len(path)-1]
		if a.items[oid] == nil {
			a.items[oid] = &item{}
		}
		a.items[oid].wants = append(a.items[oid].wants, want{i, path[:len(path)-1]})
	}
	return a, nil
}

func (a *asked) askAround(name string, column int) {
	audit := slices.Index(auditNames, name)
	switch {
	case name == removed:
		a.removed = append(a.removed, column)
	case audit >= 0:
		if a.audits == nil {
			a.audits = make([][]int, len(auditNames))
		}
		a.audits[audit] = append(a.audits[audit], column)
	default:
		a.attributes[name] = append(a.attributes[name], column)
		a.levels = a.levels || strings.Contains(name, "/")
	}
}

// pathOf is a column as the OIDs that it names, the item's last.
func pathOf(column string) (path []string, ok bool) {
	if !strings.HasPrefix(column, "/") {
		return []string{column}, column != ""
	}
	path = strings.Split(column[1:], "/")
	for i, oid := range path {
		for rest := oid; ; {
			_, after, found := strings.Cut(rest, "~")
			if !found {
				break
			}
			if after == "" || after[0] != '0' && after[0] != '1' {
				return nil, false
			}
			rest = after
		}
		if oid == "" {
			return nil, false
		}
		path[i] = strings.ReplaceAll(strings.ReplaceAll(oid, "~1", "/"), "~0", "~")
	}
	return path, true
}

// define notes what the object's own metadata say of an item.
func (a *asked) define(oid, kind, label string) {
	it := a.items[oid]
	if it == nil {
		if it = a.learn(oid); it == nil {
			return
		}
	}
	if it.defined && it.kind != kind {
		kind = "" // versions of the metadata differ
	}
	it.defined, it.kind, it.label = true, kind, label
	a.report(oid, it)
}

// learn notes an item that nobody asked for; nil when there are too many of them.
func (a *asked) learn(oid string) *item {
	if a.learned++; a.learned > maxNames {
		return nil
	}
	it := &item{}
	a.items[oid] = it
	return it
}

// report adds an item that nobody asked for to what the rows say of themselves.
// What people would not choose as a name could be data.
func (a *asked) report(oid string, it *item) {
	if it.reported || len(it.wants) > 0 {
		return
	}
	it.reported = true
	if at, found := slices.BinarySearch(a.unasked, oid); !found && plain(oid) && len(a.unasked) < maxTold {
		a.unasked = slices.Insert(slices.Clone(a.unasked), at, oid)
	}
}

// settle fixes the columns before the first row. Where complete says that the
// object holds its metadata, items that these do not define have no column.
func (a *asked) settle(complete bool) {
	place := make([]int, len(a.columns))
	kinds, labels := make([]string, len(a.columns)), make([]string, len(a.columns))
	for i := range place {
		place[i] = i
	}
	defined := false
	for _, it := range a.items {
		defined = defined || it.defined
		for _, w := range it.wants {
			kinds[w.column], labels[w.column] = it.kind, it.label
			if it.missing = complete && !it.defined; it.missing {
				place[w.column] = -1
			}
		}
	}
	a.drop(place, kinds, labels)
	if !defined {
		a.types, a.labels = nil, nil
	}
}

// drop leaves out the columns whose place is -1 and moves the others up.
func (a *asked) drop(place []int, kinds, labels []string) {
	columns := a.columns
	a.columns = nil
	for i := range place {
		if place[i] < 0 {
			continue
		}
		place[i] = len(a.columns)
		a.columns = append(a.columns, columns[i])
		a.types, a.labels = append(a.types, kinds[i]), append(a.labels, labels[i])
	}
	for _, it := range a.items {
		for i := range it.wants {
			it.wants[i].column = place[it.wants[i].column]
		}
	}
	for _, list := range append([][]int{a.removed}, a.audits...) {
		move(list, place)
	}
	for _, list := range a.attributes {
		move(list, place)
	}
}

func move(list, place []int) {
	for i := range list {
		list[i] = place[list[i]]
	}
}

// plain reports whether an OID is a name that people would choose.
func plain(oid string) bool {
	if oid == "" || len(oid) > maxOID {
		return false
	}
	for i := range len(oid) {
		c := oid[i] | 0x20
		if (c < 'a' || c > 'z') && (i == 0 || (oid[i] < '0' || oid[i] > '9') && !strings.ContainsRune("_.-", rune(oid[i]))) && oid[i] != '_' {
			return false
		}
	}
	return true
}
