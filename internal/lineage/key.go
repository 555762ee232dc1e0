package lineage

import (
	"strconv"
	"strings"

	"longitude/study"
)

// Key names one row of a released table by values of it: columns of its key, or
// one of the ids of participant, visit and record.
type Key map[string]string

// ids are the columns whose released values are made by door 2, by their initial.
var ids = map[byte]string{'P': "participant_id", 'V': "visit_id", 'R': "record_id"}

// ParseKey reads COLUMN=VALUE, separated by commas, or a bare id.
func ParseKey(text string) (Key, error) {
	if !strings.Contains(text, "=") {
		if text != "" && ids[text[0]] != "" {
			return Key{ids[text[0]]: text}, nil
		}
		return nil, badKey("the key names no column and is no released id")
	}
	k := Key{}
	for pair := range strings.SplitSeq(text, ",") {
		column, value, ok := strings.Cut(pair, "=")
		column = strings.TrimSpace(column)
		if !ok || column == "" || value == "" {
			return nil, badKey("a part of the key is not COLUMN=VALUE")
		}
		if _, twice := k[column]; twice {
			return nil, badKey("the key names a column twice")
		}
		k[column] = value
	}
	return k, nil
}

func badKey(what string) error {
	return &study.Error{Code: "usage.key", Op: what, Exit: study.ExitUsage,
		Hint: "write it as participant_id=P…,visit_seq=2,record_seq=1 or as the record_id alone"}
}

// ID is the most telling released id of the key and its column; "" = none.
func (k Key) ID() (column, id string) {
	for _, initial := range "RVP" {
		if column := ids[byte(initial)]; k[column] != "" {
			return column, k[column]
		}
	}
	return "", ""
}

// ByID reports whether ids alone name the row: it can be found whatever has become
// of the protocol, which numbers rows anew.
func (k Key) ByID() bool {
	for column := range k {
		if column != "participant_id" && column != "visit_id" && column != "record_id" {
			return false
		}
	}
	return true
}

// Find answers the row of b, which is before door 2, that the key names. released
// is door 2 for ids: the released value of an internal one.
func (k Key) Find(b *study.Batch, released func(column, id string) string) (int, error) {
	for column := range k {
		if columnOf(b.Table, column) < 0 {
			return 0, &study.Error{Code: "lineage.column", Op: "table " + b.Table.Name + " has no column that the key names", Exit: study.ExitUsage,
				Hint: "name columns of its key: " + strings.Join(b.Table.Key, ", ")}
		}
	}
	found := -1
	for row := range b.Rows {
		if !k.matches(b, row, released) {
			continue
		}
		if found >= 0 {
			return 0, &study.Error{Code: "lineage.several", Op: "several rows of " + b.Table.Name + " have this key", Exit: study.ExitUsage,
				Hint: "name all columns of its key: " + strings.Join(b.Table.Key, ", ")}
		}
		found = row
	}
	if found < 0 {
		return 0, NotReleased(b.Table.Name)
	}
	return found, nil
}

// NotReleased is the error of a key that no row of a table has.
func NotReleased(table string) error {
	return &study.Error{Code: "lineage.no_row", Op: "the release has no row of table " + table + " with this key", Exit: study.ExitFailed,
		Hint: "take the key from the release itself: ids are of one series, and numbers of rows of one release"}
}

func (k Key) matches(b *study.Batch, row int, released func(column, id string) string) bool {
	for column, want := range k {
		v := &b.Vectors[columnOf(b.Table, column)]
		var got string
		switch c := b.Table.Columns[columnOf(b.Table, column)]; {
		case v.Null(row):
			return false
		case c.Class == study.ParticipantKey || c.Class == study.OtherKey:
			got = released(column, v.Texts[row])
		case c.Kind == study.TextKind:
			got = v.Texts[row]
		case c.Kind == study.Int64Kind:
			got = strconv.FormatInt(v.Ints[row], 10)
		default:
			return false // no key is of another kind
		}
		if got != want {
			return false
		}
	}
	return true
}

// Text is the value of a text column of a row; "" where there is none.
func Text(b *study.Batch, column string, row int) string {
	if c := columnOf(b.Table, column); c >= 0 && !b.Vectors[c].Null(row) {
		return b.Vectors[c].Texts[row]
	}
	return ""
}

func columnOf(t *study.Table, name string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i
		}
	}
	return -1
}
