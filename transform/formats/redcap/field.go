package redcap

import (
	"regexp"
	"strings"

	"longitude/study"
	"longitude/transform"
)

const (
	minutesLayout = "2006-01-02 15:04"
	secondsLayout = "2006-01-02 15:04:05"
)

// typeOf is the type of a field, and how its instants are written.
func typeOf(f field) (kind, layout string) {
	switch f.Type {
	case "radio", "dropdown", "yesno", "truefalse":
		if len(choices(f)) > 0 {
			return "choice", ""
		}
	case "calc": // REDCap calculates with all digits that it has
		return "decimal(18,12)", ""
	case "slider":
		return "integer", ""
	case "file":
		return "file", ""
	case "text":
		return validated(f.Validation)
	}
	return "text", ""
}

// validated is the type of text of a validation; sites can define their own.
func validated(validation string) (kind, layout string) {
	switch {
	case strings.HasPrefix(validation, "date_"):
		return "date", ""
	case strings.HasPrefix(validation, "datetime_seconds_"):
		return "datetime", secondsLayout
	case strings.HasPrefix(validation, "datetime_"):
		return "datetime", minutesLayout
	case validation == "integer", validation == "int":
		return "integer", ""
	case strings.HasPrefix(validation, "number_") && validation[len("number_")] >= '1' && validation[len("number_")] <= '9':
		return "decimal(18," + validation[len("number_"):len("number_")+1] + ")", ""
	case validation == "number", validation == "number_comma_decimal", validation == "float":
		return "decimal(18,6)", ""
	case validation == "time":
		return "time", ""
	case validation == "time_hh_mm_ss":
		return "time", ""
	case validation == "zipcode":
		return "zip", ""
	}
	return "text", ""
}

// contact are validations of text by which a person can be reached or looked up.
var contact = regexp.MustCompile(`^(email|phone|ssn|mrn|vmrn|postalcode|zipcode)`)

// class proposes the privacy class of a field. What a site has ticked as identifying
// is; that it has not been ticked says nothing.
func class(f field, kind string) string {
	return transform.ProposeClass(kind, f.Identifier == "y" || f.Type == "text" && contact.MatchString(f.Validation), f.Name, label(f.Label))
}

// choices are the codes of a field.
func choices(f field) []study.ChoiceItem {
	switch f.Type {
	case "yesno":
		return []study.ChoiceItem{{Code: "1", Label: "Yes"}, {Code: "0", Label: "No"}}
	case "truefalse":
		return []study.ChoiceItem{{Code: "1", Label: "True"}, {Code: "0", Label: "False"}}
	case "radio", "dropdown":
		return codesOf(f.Choices)
	}
	return nil
}

// codesOf splits "1, Label | 2, Label, with comma": at the bars, then at the first comma.
func codesOf(text string) (out []study.ChoiceItem) {
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, "|") {
		code, says, _ := strings.Cut(part, ",")
		code = strings.TrimSpace(code)
		if code == "" || seen[code] || transform.Printable(code) != code {
			continue
		}
		seen[code] = true
		if says = label(says); says == "" {
			says = code
		}
		out = append(out, study.ChoiceItem{Code: code, Label: says})
	}
	return out
}

// reasons are words of the labels of missing-data codes, and what they mean.
var reasons = []struct {
	words  *regexp.Regexp
	reason string
}{
	{regexp.MustCompile(`(?i)not asked|not collected`), study.NotAsked},
	{regexp.MustCompile(`(?i)refus|declin`), "refused"},
	{regexp.MustCompile(`(?i)not applicable|n/a`), "not_applicable"},
	{regexp.MustCompile(`(?i)not done|not performed|missed`), "not_done"},
	{regexp.MustCompile(`(?i)illegible`), "illegible"},
	{regexp.MustCompile(`(?i)invalid`), "invalid"},
}

// missingCodes are the codes that a project exports in fields of any type where a
// value is missing, and why it is.
func missingCodes(text string) []study.ChoiceItem {
	codes := codesOf(text)
	for i := range codes {
		reason := "unknown"
		for _, r := range reasons {
			if r.words.MatchString(codes[i].Label) {
				reason = r.reason
				break
			}
		}
		codes[i].Label = reason
	}
	return codes
}

var markup = regexp.MustCompile(`<[^<>]{0,500}>`)

// label is text for people without the markup that REDCap allows in it.
func label(text string) string { return transform.Printable(markup.ReplaceAllString(text, " ")) }
