package study

import "slices"

// Kind is the storage type of a release column.
type Kind uint8

// The kinds. Decimal is an int64 scaled by 10^Column.Scale; DateKind is days
// since 1970-01-01; Timestamp is microseconds UTC.
const (
	Int64Kind Kind = iota
	DecimalKind
	FloatKind
	BoolKind
	DateKind
	TextKind
	TimestampKind
)

// String is the kind's name in dictionaries.
func (k Kind) String() string {
	return [...]string{"integer", "decimal", "number", "boolean", "date", "string", "datetime"}[k]
}

// Table describes one table of a release: its grain, key and columns in
// dictionary order.
type Table struct {
	Name, Label string
	Grain       string   // "one row per participant"
	Key         []string // column names, the sort order of rows
	Columns     []Column
}

// ParticipantColumn is the place of the column that says whose row it is, -1 in a
// table about nobody.
func (t *Table) ParticipantColumn() int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Class == ParticipantKey })
}

// Column describes one column. The same description drives Parquet, the
// dictionary and the manifest.
type Column struct {
	Name        string
	Label       string
	Description string
	Kind        Kind
	Scale       int
	Unit        string
	CodeList    string // name in the code lists; "" = none
	Nullable    bool
	Class       Class
	Form, Field string // where the value comes from; "" = derived
	Transform   string // how it was derived from the field: "identity", "logmar", …
	Masking     string // what door 2 did; set by deid
}

// Vector holds the values of one column: Ints for Int64Kind, DecimalKind,
// DateKind, TimestampKind and BoolKind (0/1); Floats for FloatKind; Texts for
// TextKind. Valid[i] false means NULL; the slot in the slice is then ignored.
// Valid nil means every value is present.
type Vector struct {
	Valid  []bool
	Ints   []int64
	Floats []float64
	Texts  []string
}

// Batch is a plain batch of typed column slices of one table.
type Batch struct {
	Table        *Table
	Rows         int
	Vectors      []Vector // one per Table.Columns
	Participants []int64  // per row: whose row it is; nil for tables about no participant
	Anchors      []Date   // per row: the participant's anchor, NoDate if unknown; nil as above
}

// Null reports whether row i of v is NULL.
func (v *Vector) Null(i int) bool { return v.Valid != nil && !v.Valid[i] }

// AppendNull, AppendInt, AppendFloat and AppendText add one row to v, keeping
// Valid aligned. k is the column's kind.
func (v *Vector) AppendNull(k Kind) {
	switch k {
	case TextKind:
		v.Texts = append(v.Texts, "")
	case FloatKind:
		v.Floats = append(v.Floats, 0)
	default:
		v.Ints = append(v.Ints, 0)
	}
	v.Valid = append(v.Valid, false)
}

// AppendInt adds an int-backed value (integers, decimals, dates, booleans, timestamps).
func (v *Vector) AppendInt(n int64) {
	v.Ints = append(v.Ints, n)
	v.Valid = append(v.Valid, true)
}

// AppendFloat adds a floating-point value.
func (v *Vector) AppendFloat(f float64) {
	v.Floats = append(v.Floats, f)
	v.Valid = append(v.Valid, true)
}

// AppendText adds a text value; "" is a value, not NULL.
func (v *Vector) AppendText(s string) {
	v.Texts = append(v.Texts, s)
	v.Valid = append(v.Valid, true)
}
