package release

import (
	"math"
	"strconv"
	"strings"
	"time"

	"longitude/study"
)

// partialDate is the missing reason of a date that the source knows only in
// part: a partial date has no study day and is never padded to one.
const partialDate = "partial_date"

// fieldColumns binds a field to its columns in the table of its form: the
// columns of its value, then the column of its missing reason.
type fieldColumns struct {
	field int // in Form.Fields
	first int // in Table.Columns
	value []study.Column
	read  reader       // nil: the value is sealed
	seal  study.Action // what leaves of a sealed value
}

// reader appends the value of one canonical answer to the vectors of the
// field's value columns. It answers a missing reason when the answer stands for
// no value, and false when it is not of the field's type.
type reader func(out []study.Vector, text string) (reason string, ok bool)

// formTable describes the wide table of form i and how its fields fill it.
// Fields that are sealed at door 1 have columns only where the study releases
// something of them.
func formTable(s *study.Study, i int) (*study.Table, []fieldColumns) {
	form := &s.Forms[i]
	t := &study.Table{Name: form.Name, Label: form.Label, Grain: "one row per record of the form"}
	t.Columns = []study.Column{participantColumn()}
	t.Key = []string{"participant_id"}
	if !form.Log {
		t.Columns = append(t.Columns, visitSeqColumn(), visitIDColumn(true), visitColumn(), studyDayColumn())
		t.Key = append(t.Key, "visit_seq")
	}
	t.Columns = append(t.Columns,
		plain("record_seq", "Record order", study.Int64Kind, "Order among the participant's records of this form at the visit, from 1."),
		study.Column{Name: "record_id", Label: "Record id", Kind: study.TextKind, Class: study.OtherKey, Description: "Stable id of the record."})
	t.Key = append(t.Key, "record_seq")

	taken := map[string]bool{}
	for _, c := range t.Columns {
		taken[c.Name] = true
	}
	var fields []fieldColumns
	for f := range form.Fields {
		field := &form.Fields[f]
		value, read := valueColumns(form, field)
		columns := append(value, missingColumn(form, field))
		if field.Sealed() {
			columns, read = sealedColumns(form, field), nil
			value = columns[:min(1, len(columns))]
		}
		if len(columns) == 0 {
			continue
		}
		for collides(columns, taken) {
			for c := range columns {
				columns[c].Name = form.Name + "_" + columns[c].Name
			}
		}
		for _, c := range columns {
			taken[c.Name] = true
		}
		fields = append(fields, fieldColumns{f, len(t.Columns), columns[:len(value)], read, field.Release.Action})
		t.Columns = append(t.Columns, columns...)
	}
	return t, fields
}

func collides(columns []study.Column, taken map[string]bool) bool {
	for _, c := range columns {
		if taken[c.Name] {
			return true
		}
	}
	return false
}

// missingColumn says why a value is missing; it goes where the value goes.
func missingColumn(form *study.Form, field *study.Field) study.Column {
	c := study.Column{Name: field.Name + "_missing", Label: label(field) + ": why missing", Kind: study.TextKind, Nullable: true,
		Class: study.Clinical, CodeList: listReasons, Form: form.Name, Field: field.Name, Transform: "missing_reason",
		Description: "Reason why the value is missing; NULL where there is a value, or neither value nor reason."}
	if field.Class == study.Blinded || field.Class.Sealed() {
		c.Class = field.Class
	}
	return c
}

func label(f *study.Field) string {
	if f.Label != "" {
		return f.Label
	}
	return f.Name
}

// valueColumns are the columns of a field's value. Every one of them may be
// NULL, whatever the form requires: what arrives is what arrived.
func valueColumns(form *study.Form, field *study.Field) ([]study.Column, reader) {
	c := study.Column{Name: field.Name, Label: label(field), Description: label(field), Unit: field.Unit, Nullable: true,
		Class: field.Class, Form: form.Name, Field: field.Name, Transform: "identity"}
	if len(field.Choices) > 0 {
		c.CodeList = form.Name + "." + field.Name
	}
	switch field.Type {
	case study.Integer:
		c.Kind = study.Int64Kind
		return []study.Column{c}, readInteger
	case study.Decimal:
		c.Kind, c.Scale = study.DecimalKind, field.Scale
		return []study.Column{c}, decimalReader(field.Scale)
	case study.Boolean:
		c.Kind = study.BoolKind
		return []study.Column{c}, readBoolean
	case study.DateType:
		c.Kind, c.Class = study.DateKind, dateClass(field.Class)
		return []study.Column{c}, readDate
	case study.DateTime:
		c.Kind, c.Class = study.TimestampKind, dateClass(field.Class)
		return []study.Column{c}, readInstant
	case study.Acuity:
		return acuityColumns(c), readAcuity
	}
	c.Kind = study.TextKind // choice, choices, time: text out of a closed set or a fixed form
	return []study.Column{c}, readText
}

// dateClass gives dates their class whatever the field says, unless it says
// something stricter: a calendar date classed clinical would leave as it is.
func dateClass(c study.Class) study.Class {
	switch c {
	case study.Clinical, study.Sensitive, study.Quasi, study.StudyDate:
		return study.DateClass
	}
	return c
}

// acuityColumns keep the reading as written beside what is computed from it.
func acuityColumns(c study.Column) []study.Column {
	column := func(suffix, label, transform, description string, kind study.Kind) study.Column {
		n := c
		n.Name, n.Label, n.Kind, n.Transform, n.Description = c.Name+suffix, c.Label+": "+label, kind, transform, description
		return n
	}
	logMAR := column("_logmar", "logMAR", "logmar", "Logarithm of the minimum angle of resolution; 0 is 20/20, higher is worse; four decimals; NULL off the chart.", study.FloatKind)
	letters := column("_letters", "letters", "letters", "ETDRS letters, 85 − 50·logMAR rounded; NULL off the chart.", study.Int64Kind)
	logMAR.Unit, letters.Unit = "logMAR", "letters"
	offChart := column("_offchart", "off the chart", "identity", "Reading below the chart; a value, not missing.", study.TextKind)
	offChart.CodeList = listOffChart
	return []study.Column{
		column("_original", "as written", "identity", "The reading on the scale it was written in.", study.TextKind),
		column("_scale", "scale", "identity", "Scale of the original: etdrs, snellen, logmar, decimal or off.", study.TextKind),
		logMAR, letters, offChart,
		column("_conversion_rule", "conversion rule", "identity", "Rule and version that logMAR and letters follow; empty where nothing was converted.", study.TextKind),
	}
}

func readText(out []study.Vector, text string) (string, bool) {
	out[0].AppendText(text)
	return "", true
}

func readInteger(out []study.Vector, text string) (string, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	out[0].AppendInt(n)
	return "", err == nil
}

func readBoolean(out []study.Vector, text string) (string, bool) {
	switch text {
	case "true", "1":
		out[0].AppendInt(1)
	case "false", "0":
		out[0].AppendInt(0)
	default:
		return "", false
	}
	return "", true
}

func decimalReader(scale int) reader {
	return func(out []study.Vector, text string) (string, bool) {
		n, ok := parseDecimal(text, scale)
		out[0].AppendInt(n)
		return "", ok
	}
}

// parseDecimal reads a canonical decimal as an integer scaled by 10^scale. A
// value finer than the scale is refused, never rounded.
func parseDecimal(text string, scale int) (int64, bool) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	for len(fraction) > scale && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	if whole == "" || whole[0] < '0' || whole[0] > '9' || len(fraction) > scale || point && digits[len(digits)-1] == '.' {
		return 0, false
	}
	n, err := strconv.ParseInt(whole+fraction, 10, 64)
	for range scale - len(fraction) {
		if n > math.MaxInt64/10 {
			return 0, false
		}
		n *= 10
	}
	if negative {
		n = -n
	}
	return n, err == nil
}

func readDate(out []study.Vector, text string) (string, bool) {
	d, ok := study.ParsePartialDate(text)
	if !ok {
		return "", false
	}
	if !d.Exact() {
		out[0].AppendNull(study.DateKind)
		return partialDate, true
	}
	out[0].AppendInt(int64(d.First()))
	return "", true
}

func readInstant(out []study.Vector, text string) (string, bool) {
	t, err := time.Parse(time.RFC3339Nano, text)
	out[0].AppendInt(t.UnixMicro())
	return "", err == nil
}

func readAcuity(out []study.Vector, text string) (string, bool) {
	a, ok := study.ParseAcuity(text, "")
	if !ok {
		return "", false
	}
	out[0].AppendText(a.Original())
	out[1].AppendText(a.Scale())
	if v, on := a.LogMAR(); on {
		// Four decimals are finer than any chart, and the same on every processor.
		out[2].AppendFloat(math.Round(v*1e4) / 1e4)
	} else {
		out[2].AppendNull(study.FloatKind)
	}
	if n, on := a.Letters(); on {
		out[3].AppendInt(int64(n))
	} else {
		out[3].AppendNull(study.Int64Kind)
	}
	if off := a.OffChart(); off != "" {
		out[4].AppendText(off)
	} else {
		out[4].AppendNull(study.TextKind)
	}
	out[5].AppendText(a.Rule())
	return "", true
}
