package lineage

import (
	"slices"
	"strings"

	"longitude/study"
)

// Purposes are the closed list of why somebody looks at an original: at a row as
// it was landed, or at words that are sealed.
var Purposes = []study.ChoiceItem{
	{Code: "source_verification", Label: "Comparing what is recorded with the source"},
	{Code: "correction", Label: "Finding out what has to be corrected"},
	{Code: "safety", Label: "A question about the safety of a participant"},
	{Code: "inspection", Label: "An audit or an inspection"},
	{Code: "participant_request", Label: "The participant asked what is recorded"},
	{Code: "investigation", Label: "Finding out what went wrong"},
}

// CheckPurpose refuses a purpose that is none of the list.
func CheckPurpose(code string) error {
	if slices.ContainsFunc(Purposes, func(p study.ChoiceItem) bool { return p.Code == code }) {
		return nil
	}
	op := "the reason is none of the list"
	if code == "" {
		op = "originals are shown only for a reason, and none is given"
	}
	return &study.Error{Code: "lineage.reason", Op: op, Exit: study.ExitUsage, Hint: "give --reason, one of: " + PurposeCodes()}
}

// PurposeCodes are the purposes in one line.
func PurposeCodes() string {
	codes := make([]string, len(Purposes))
	for i, p := range Purposes {
		codes[i] = p.Code
	}
	return strings.Join(codes, ", ")
}
