package study

// Shape is what the objects of a source look like: the columns in their order
// and how they are written. It holds names, never values.
type Shape struct {
	Columns []ColumnShape
	Dialect string // encoding and the like, as the format found out; "" = nothing
}

// ColumnShape is one column: its name and what its values look like.
type ColumnShape struct {
	Name string
	Kind string // number, date, text; "" = no value seen
}

// DriftKind names a change of shape.
type DriftKind string

// The changes of shape. Header and delimiter stand for objects whose first line
// is not the one expected at all: their names are not recorded, for they may be data.
const (
	NewColumn     DriftKind = "new_column"
	MissingColumn DriftKind = "missing_column"
	TypeChange    DriftKind = "type_change"
	NewChoice     DriftKind = "new_choice"
	DialectChange DriftKind = "dialect_change"
	HeaderUnknown DriftKind = "header_unknown"
)

// Frozen is what stopped a source: the changes that an object brings against a
// policy of freeze. Nothing else is recorded of the object.
type Frozen struct {
	Source string
	Item   string // keyed digest of the object's name
	Object Digest
	RunID  int64 // that met it
	Drifts []Drift
}

// Drift is one named change of a source's shape.
type Drift struct {
	Kind     DriftKind
	Column   string // or form.field, of a new choice; "" where it is about the whole object
	From, To string // kinds, or dialects; "" where there is none
	Mapped   bool   // the mapping reads the column
	Action   DriftAction
}
