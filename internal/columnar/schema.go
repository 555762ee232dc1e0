package columnar

import (
	"reflect"

	"github.com/parquet-go/parquet-go"

	"longitude/study"
)

// decimalPrecision is the most that an int64-backed decimal holds. Decimals are
// int-backed because parquet-go gives byte-array decimals unsigned bounds.
const decimalPrecision = 18

// schemaOf is the Parquet schema of t with its columns in dictionary order.
func schemaOf(t *study.Table) (*parquet.Schema, error) {
	if len(t.Columns) == 0 {
		return nil, schemaError(t, "it has no columns")
	}
	root := ordered{Group: parquet.Group{}}
	for _, c := range t.Columns {
		if _, twice := root.Group[c.Name]; twice || c.Name == "" {
			return nil, schemaError(t, "two columns have the same name, or one has none: "+c.Name)
		}
		if c.Kind == study.DecimalKind && (c.Scale < 0 || c.Scale > decimalPrecision) {
			return nil, schemaError(t, "the scale of column "+c.Name+" is not between 0 and 18")
		}
		node := nodeOf(c)
		root.Group[c.Name] = node
		root.fields = append(root.fields, field{node, c.Name})
	}
	return parquet.NewSchema(t.Name, root), nil
}

func nodeOf(c study.Column) parquet.Node {
	var node parquet.Node
	switch c.Kind {
	case study.TextKind:
		node = parquet.String()
		if c.Class != study.OtherKey { // keys of rows hardly repeat: a dictionary would only be carried along
			node = parquet.Encoded(node, &parquet.RLEDictionary)
		}
	case study.FloatKind:
		node = parquet.Leaf(parquet.DoubleType)
	case study.BoolKind:
		node = parquet.Leaf(parquet.BooleanType)
	case study.DateKind:
		node = parquet.Encoded(parquet.Date(), &parquet.DeltaBinaryPacked)
	case study.TimestampKind:
		node = parquet.Encoded(parquet.Timestamp(parquet.Microsecond), &parquet.DeltaBinaryPacked)
	case study.DecimalKind:
		node = parquet.Encoded(parquet.Decimal(c.Scale, decimalPrecision, parquet.Int64Type), &parquet.DeltaBinaryPacked)
	default:
		node = parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked)
	}
	if c.Nullable {
		return parquet.Optional(node)
	}
	return parquet.Required(node)
}

// ordered is a group that keeps the order of its fields; parquet.Group sorts
// them by name.
type ordered struct {
	parquet.Group
	fields []parquet.Field
}

func (o ordered) Fields() []parquet.Field { return o.fields }

type field struct {
	parquet.Node
	name string
}

func (f field) Name() string { return f.name }

// Value belongs to the map path, which is never taken.
func (f field) Value(base reflect.Value) reflect.Value {
	return base.MapIndex(reflect.ValueOf(f.name))
}

func schemaError(t *study.Table, what string) error {
	return &study.Error{
		Code: "columnar.schema", Op: "table " + t.Name + ": " + what,
		Hint: "rename the fields of the form so that their columns differ",
	}
}
