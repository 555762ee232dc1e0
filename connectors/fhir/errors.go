package fhir

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"longitude/study"
)

var (
	errOutcome = &study.Error{Code: "fhir.outcome", Op: "the server answers with an error of its own",
		Hint: "compare types, filters and level with what the server can do; `longitude check` asks it"}
	errPassing = &study.Error{Code: "fhir.outcome_passing", Op: "the server answers with an error that may pass", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; if it keeps happening, ask whoever runs the server"}
	errDenied = &study.Error{Code: "fhir.denied", Op: "the server does not let the account read this", Exit: study.ExitEnvironment,
		Hint: "have the account granted the right to read the types, or leave them out"}
	errNotFHIR = &study.Error{Code: "fhir.not_fhir", Op: "the answer is not the resource that was asked for, or is cut", Temporary: true,
		Hint: "it is tried again; if it stays so, compare url with the server's base address"}
	errNoJob = &study.Error{Code: "fhir.no_export", Op: "begin an export: the server does not say where it is prepared", Exit: study.ExitEnvironment,
		Hint: "the server does not support bulk export at this level: compare level, or use mode: search"}
	errFailed = &study.Error{Code: "fhir.export_failed", Op: "the export failed at the server", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "the next run asks for another one; if it keeps happening, ask whoever runs the server"}
	errGone = &study.Error{Code: "fhir.export_gone", Op: "the server has removed the export", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "the next run asks for another one; if it keeps happening, have the server keep exports longer"}
	errLate = &study.Error{Code: "fhir.export_late", Op: "the export is not ready within the time that it may take", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "the next run asks for another one; raise within, or export fewer types"}
	errComplaints = &study.Error{Code: "fhir.export_errors", Op: "read an export: the server lists errors beside its files, so that resources may be missing",
		Hint: "ask whoever runs the server; errors: accept takes the files nevertheless"}
	errCut = &study.Error{Code: "fhir.truncated", Op: "read a file of an export: it is cut, or has fewer resources than the server counts", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; if it keeps happening, ask whoever runs the server"}
	errParts = &study.Error{Code: "fhir.export_parts", Op: "read an export: it is told in several parts, which was not asked for",
		Hint: "ask whoever runs the server to leave partial manifests off"}
	errElsewhere = &study.Error{Code: "fhir.elsewhere", Op: "follow an address that the server names: it is at another host", Exit: study.ExitUsage,
		Hint: "if files or pages of this server are there, list that host under hosts"}
	errLoop = &study.Error{Code: "fhir.loop", Op: "go to the next page: it is one that was read already",
		Hint: "ask whoever runs the server: its pages lead in a circle"}
	errKey = &study.Error{Code: "fhir.key", Op: "read the private key of the account", Exit: study.ExitUsage,
		Hint: "write an RSA key of 2048 bits or more, or an EC key on P-384, in PEM without a passphrase or as JWK"}
	errToken = &study.Error{Code: "fhir.token", Op: "sign in: the server gives out no token", Exit: study.ExitEnvironment,
		Hint: "compare client_id, key_id, scope and token_url with what is registered at the server"}
	errTokenURL = &study.Error{Code: "fhir.token_url", Op: "sign in: the server does not say where, or names another host", Exit: study.ExitUsage,
		Hint: "write auth.token_url"}
)

// is reports whether an error is one of these, also as the client tells it: with
// what was asked for.
func is(err error, these ...*study.Error) bool {
	var e *study.Error
	return errors.As(err, &e) && slices.ContainsFunc(these, func(one *study.Error) bool { return one.Code == e.Code })
}

// settled is an error that asking again cannot change, though another export can.
func settled(e *study.Error) error {
	now := *e
	now.Temporary = false
	return &now
}

// outcome is what is read of an OperationOutcome: never what it says in words.
type outcome struct {
	ResourceType string `json:"resourceType"`
	Issue        []struct{ Severity, Code string }
}

// outcomeOf reads an OperationOutcome; ok is false when it is something else.
func outcomeOf(body []byte) (o outcome, ok bool) {
	err := json.Unmarshal(body, &o)
	return o, err == nil && o.ResourceType == "OperationOutcome"
}

// codes of issues (R4, 4.4.1.27) that may pass, and of those that are about rights.
var (
	passing = strings.Fields("transient lock-error no-store exception timeout incomplete throttled")
	denied  = strings.Fields("login unknown expired forbidden suppressed security")
)

// grave reports whether one of the issues is an error.
func (o outcome) grave() bool {
	for _, issue := range o.Issue {
		if issue.Severity == "error" || issue.Severity == "fatal" {
			return true
		}
	}
	return len(o.Issue) == 0
}

// has reports whether an issue has one of the codes.
func (o outcome) has(codes []string) bool {
	for _, issue := range o.Issue {
		if slices.Contains(codes, issue.Code) {
			return true
		}
	}
	return false
}

// err is what an OperationOutcome says that came instead of an answer.
func (o outcome) err() error {
	switch {
	case o.has(denied):
		return errDenied
	case o.has(passing):
		return errPassing
	}
	return errOutcome
}
