package odm

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"longitude/study"
	"longitude/transform"
)

// typeOf is the type of a field for an item.
func (m *model) typeOf(item *node) string {
	if len(m.choices(item)) > 0 {
		return "choice"
	}
	switch kind := item.at("DataType"); kind {
	case "integer", "boolean", "datetime", "time":
		return kind
	case "float", "double", "decimal":
		return decimal(item)
	case "date", "partialDate", "incompleteDate":
		return "date"
	case "partialDatetime":
		return "datetime"
	case "partialTime":
		return "time"
	case "base64Binary", "hexBinary":
		return "file"
	}
	if item.at("FieldType") == "file" {
		return "file"
	}
	return "text"
}

// REDCap's stamps of surveys are written so, or say that the survey was begun only.
const (
	surveyLayout = "2006-01-02 15:04:05"
	surveyBegun  = "[not completed]"
)

// layout is how REDCap writes the instants of an item, which have no zone; "" where
// it is not REDCap's.
func layout(item *node) string {
	switch kind := item.at("DataType"); {
	case item.at("Variable") == "":
	case kind == "partialDatetime":
		return "2006-01-02T15:04"
	case kind == "datetime" && item.at("TextValidationType") == "":
		return surveyLayout
	case kind == "datetime":
		return "2006-01-02T15:04:05"
	}
	return ""
}

// decimal is the type for a number of so many digits; where they are not said, or
// cannot be meant, one that is wide.
func decimal(item *node) string {
	length, _ := strconv.Atoi(item.at("Length"))
	digits, err := strconv.Atoi(item.at("SignificantDigits"))
	switch {
	case item.at("FieldType") == "calc": // REDCap calculates with all digits that it has
		return "decimal(18,12)"
	case err != nil, length < 1, length > 18, digits < 0, digits > length:
		return "decimal(18,6)"
	}
	return fmt.Sprintf("decimal(%d,%d)", length, digits)
}

// choices are the codes of an item's list; none of one that is kept elsewhere.
func (m *model) choices(item *node) (found []study.ChoiceItem) {
	list := m.lists[item.below("CodeListRef").at("CodeListOID")]
	if list == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, kid := range list.kids {
		code := kid.at("CodedValue")
		if kid.name != "CodeListItem" && kid.name != "EnumeratedItem" || code == "" || seen[code] || transform.Printable(code) != code {
			continue
		}
		seen[code] = true
		found = append(found, study.ChoiceItem{Code: code, Label: cmp.Or(transform.Printable(kid.below("Decode").said()), code)})
	}
	return found
}

// limits are the ends of an item's range, as YAML; "" where it has none that values
// of the type can be compared with.
func limits(item *node, kind string) string {
	var ends []transform.Setting
	for _, check := range item.all("RangeCheck") {
		switch key := strings.ToLower(check.at("Comparator")); key {
		case "ge", "gt", "le", "lt":
			ends = append(ends, transform.Setting{Key: key, Value: strings.TrimSpace(check.below("CheckValue").text)})
		}
	}
	return transform.ProposeRange(kind, ends...)
}

// unit is what an item is measured in, where that is one thing.
func (m *model) unit(item *node) string {
	refs := item.all("MeasurementUnitRef")
	if len(refs) != 1 {
		return ""
	}
	def := m.units[refs[0].at("MeasurementUnitOID")]
	if def == nil {
		return ""
	}
	return transform.Printable(cmp.Or(def.below("Symbol").said(), def.at("Name")))
}

// class proposes the privacy class of a field.
func class(item *node, kind string) string {
	validation := item.at("TextValidationType")
	return transform.ProposeClass(kind, item.at("Identifier") == "y" || validation == "email" || validation == "phone",
		item.at("OID"), item.at("Name"), label(item))
}
