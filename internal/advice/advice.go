// Package advice says what each rule of quarantine means, and how what it refuses
// is mended. docs/rules.md is made from it.
package advice

import (
	"slices"
	"strings"
)

// Rule is a rule by which rows and records are refused.
type Rule struct {
	Name    string
	Meaning string
	Fix     string
}

// Of answers the rule of that name; one that this version does not know says so.
func Of(name string) Rule {
	if i := slices.IndexFunc(rules, func(r Rule) bool { return r.Name == name }); i >= 0 {
		return rules[i]
	}
	return Rule{name, "a rule of another version of the program", "replay the object: this version judges it by its own rules"}
}

// Known tells whether this version has a rule of that name.
func Known(name string) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.Name == name })
}

// All lists the rules by name.
func All() []Rule {
	out := slices.Clone(rules)
	slices.SortFunc(out, func(a, b Rule) int { return strings.Compare(a.Name, b.Name) })
	return out
}

const (
	correctFile    = "the site corrects the file; it is read when it comes again"
	correctValue   = "correct the value at the source, or map it: "
	correctObject  = "look at how the source writes its files, correct `format`, then `longitude quarantine replay --source SOURCE`"
	acceptOrMap    = "if it is meant so, map it, then `longitude drift accept SOURCE`; if not, the source corrects the file"
	decidedByWaive = "; what is no data of the study is waived with a reason"
)

var rules = append(append(append([]Rule{}, ofRows...), ofFields...), ofObjects...)

// ofRows refuse a whole row: it cannot be split, or tells no participant, visit or date.
var ofRows = []Rule{
	{"column_count", "the row has more or fewer cells than the header has columns", "a delimiter or line end inside a value: correct the quoting at the source, or `delimiter` and `quote`"},
	{"quote_unclosed", "a quoted value has no closing quote", "correct the file, or set `quote: none` where quotes mean nothing"},
	{"quote_stray", "a quote stands where none may stand", "correct the file, or set `quote` or `escape` as the source writes them"},
	{"escape_unknown", "a backslash precedes a character that needs none", "correct the file, or set `escape: double`"},
	{"text_invalid", "bytes that are no text in the declared encoding", "declare the right `encoding`, then replay; or " + correctFile},
	{"text_unknown", "bytes that are not UTF-8, and no encoding is declared", "declare `encoding`, such as windows-1252, then replay: it is never guessed"},
	{"text_entity", "a value has an entity that XML does not define by itself", correctFile},
	{"text_control", "a control character inside a value", "the file is damaged or holds binary data: " + correctFile},
	{"row_too_long", "the row is longer than any row may be", "an unclosed quote, or text of great length: " + correctFile},
	{"cell_too_long", "a cell is longer than any cell may be", correctFile},
	{"cell_invalid", "a cell of the sheet that contradicts the sheet's own tables", "save the workbook again with the program that made it"},
	{"cell_error", "a cell shows an error such as #REF!", "correct the formula at the source"},
	{"formula_without_value", "a formula that was never computed", "open the workbook, let it compute, save it again"},
	{"merged_cells", "the row is part of merged cells, so that it is not known which row the value belongs to", "unmerge the cells at the source"},
	{"json_invalid", "the line or element is no JSON", correctFile},
	{"json_duplicate_key", "an object has the same key twice; which one counts cannot be guessed", correctFile},
	{"json_not_array", "a row is no list of values as the object's columns want it", correctFile},
	{"json_not_object", "a row is no JSON object", "set `records` to where the list of rows is, then replay; or " + correctFile},
	{"json_not_scalar", "a column leads to an object or a list, and a value is wanted", "map the value inside it by a pointer such as /visit/date, then replay"},
	{"json_too_deep", "the row is nested deeper than rows may be", correctFile},
	{"fhir_not_scalar", "a path leads to several elements, such as an address, and a value is wanted", "map an element inside it, such as address.country, then replay"},
	{"fhir_codings", "a concept has several codings and nobody chose one", "map one of them, such as code.coding.where(system='http://loinc.org').code, then replay"},
	{"fhir_value_bar", "one of several values has the bar that joins them", correctFile},
	{"fhir_reference_twice", "a reference is followed, and two resources of the bundle answer to it", correctFile},
	{"fhir_no_type", "it is no FHIR resource: it does not say its type", correctFile},
	{"fhir_bundle_inside", "a bundle inside a bundle, whose resources are not read", "ask the source for plain bundles, or for one resource a line"},
	{"odm_item_twice", "a column has two values: groups repeat in the form, or an item is in several groups", "read item groups (`records: group`) or map a path such as /GROUP/ITEM, then replay"},
	{"odm_partial", "a transaction removes a group of the form and does not say which items are in it", "ask the source for snapshots, or for transactions that repeat the whole form"},
	{"told_in_part", "the row tells only some of the columns that a computed value, or a long table, is made of", "ask the source for rows that repeat all of them, or map the columns one by one; then replay"},
	{"odm_removed_above", "a transaction removes a whole subject, event or form: which records go is for a person to decide", "ask the source for a complete snapshot, or for removals form by form"},
	{"odm_audit_pooled", "the mapping asks for audit columns, and the audit records come after the data", "leave the audit columns out of the mapping, or ask the source for audit records inside the data; then replay"},
	{"odm_undefined", "the metadata of the object do not define the item", "ask the source for metadata that fit the data, or leave the item out of the mapping; then replay"},
	{"odm_value_bar", "one of several values has the bar that joins them", correctFile},
	{"number_invalid", "a number that the format does not allow or cannot keep exactly", correctFile},
	{"participant_missing", "the row names no participant", "correct `map.participant` if the column is wrong; else " + correctFile + decidedByWaive},
	{"identity_empty", "the participant's identifier is blank once spaces are gone", correctFile},
	{"identity_invalid", "the participant's identifier is too long, no text, or has invisible characters", correctFile},
	{"erased", "the participant was erased and must not come back; nothing of the row is kept", "nothing: the site may leave the participant out of its files"},
	{"site_invalid", "the site is no code of letters, digits, dash and underscore", "recode it with `values` under `map.site`, then replay"},
	{"visit_missing", "the row feeds a form of a visit and tells no visit", "correct `map.visit` and `map.visit_date`, then replay; or " + correctFile},
	{"visit_day_invalid", "the day of the visit is no whole number, or far outside any study", "correct `map.visit_day`, then replay; or " + correctFile},
	{"modified_invalid", "the time of modification is none that `map.modified` describes", "set `format` of `map.modified`, then replay"},
	{"status_unknown", "the participant's status is none of the seven", "recode it with `values` under `map.status`, then replay"},
	{"pivot_rows", "one participant has more rows of a long table than are kept together", "deliver the table in parts by visit"},
	{"pivot_scattered", "rows of a long table of one participant stand apart", "sort the file by participant at the source"},
	{"pivot_twice", "two rows of a long table give the same field of one record", "map what tells them apart as `occurrence`, then replay; or " + correctFile},
}

// ofFields refuse a record, by one of its fields or by the rules of the protocol.
var ofFields = []Rule{
	{"integer_invalid", "no whole number", correctValue + "`missing` for codes such as ND"},
	{"decimal_invalid", "no decimal number", correctValue + "`missing` for codes, `decimal_mark` for 1,5"},
	{"boolean_invalid", "neither true nor false", correctValue + "`values: {Y: true, N: false}`"},
	{"date_invalid", "no date as `format` describes it, or none that exists", correctValue + "`format` is a Go layout such as \"02/01/2006\""},
	{"datetime_invalid", "no instant as `format` describes it", correctValue + "`format` is a Go layout, with the offset where it has one"},
	{"time_invalid", "no time of day", correctValue + "write 14:05 or 14:05:30"},
	{"choice_unknown", "a code that the form's list of choices does not have", correctValue + "`values` of the field, or a new choice in the form, then replay"},
	{"zip_invalid", "no US ZIP code of five or nine digits", correctValue + "`format: numeric` where the column is one of numbers; other postcodes are no ZIP codes"},
	{"acuity_invalid", "no visual acuity in the declared scale", correctValue + "`scale`, or `missing` for codes"},
	{"unit_inexact", "a whole number that is none any more in the field's unit", "make the field a decimal, or correct `unit`"},
	{"expr_failed", "the expression of the mapping could not be computed for this row", "correct `expr`, which must bear every value that occurs, then replay"},
	{"required", "a required field has no value", "the site enters it; or map a missing code with its reason under `missing`"},
	{"range", "the value is outside the field's range", "the site checks the value; if it is right, widen `range`"},
	{"pattern", "the text does not have the field's pattern", "the site checks the value; if it is right, correct `pattern`"},
	{"precision", "more digits than the field's type holds", "widen decimal(p,s), or correct the value"},
	{"check", "a check of the form with severity reject does not hold", "the site checks the values that the check compares"},
	{"planned_out_of_window", "the planned date is outside its window, and the protocol blocks that", "plan the visit inside its window; or change the policy, then replay"},
	{"visit_out_of_window", "the visit is outside its window, and the protocol blocks that", "correct the date; or change the policy, then replay"},
	{"edited_after_lock", "it would change what is locked; the locked value did not move", "if the change is right: `longitude lock list`, then `longitude unlock LOCK_ID`, which replays it"},
}

// ofObjects put a whole object aside.
var ofObjects = []Rule{
	{"object_unreadable", "the object cannot be read at all; the field is the code of the error", correctObject},
	{"drift_new_column", "the object has a column that was never there", acceptOrMap},
	{"drift_missing_column", "a column that was always there is gone", acceptOrMap},
	{"drift_type_change", "the values of a column look otherwise than before", acceptOrMap},
	{"drift_dialect_change", "the object is written otherwise than before: another encoding or version", acceptOrMap},
	{"drift_header_unknown", "the first line is not the header that the mapping knows, or no row has a member that it asks for", acceptOrMap},
}
