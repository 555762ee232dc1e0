package rave

import (
	"bytes"
	"net/http"

	"longitude/study"
)

// Rave tells errors as ODM, as a Response, as a page or as plain text.
var (
	errLogin = &study.Error{Code: "rave.login_refused", Op: "Rave does not accept who asks", Exit: study.ExitEnvironment,
		Hint: "check user and password, or app and key and this machine's clock; an account of single sign-on does not work. Nothing is tried again"}
	errStudy = &study.Error{Code: "rave.no_study", Op: "the study is not among those that the account sees", Exit: study.ExitUsage,
		Hint: "compare project and environment with the list of studies in Rave, and have the account granted the study"}
	errRights = &study.Error{Code: "rave.no_rights", Op: "the account may not read this", Exit: study.ExitEnvironment,
		Hint: "audits want full rights to view the study; clinical views want the right to extract data"}
	errVersion = &study.Error{Code: "rave.no_version", Op: "the study has no version of a case report form that could be read",
		Hint: "have a version published in Architect, and the account granted the right to read it"}
	errTruncated = &study.Error{Code: "rave.truncated", Op: "the answer is cut off or damaged", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; if it keeps happening, lower per_page, or ask for forms one by one"}
	errOrder = &study.Error{Code: "rave.order", Op: "the audits do not come in the order of their numbers", Exit: study.ExitBlocked,
		Hint: "nothing of this page was taken in: a number missed would be a change missed. Report it to Medidata"}
	errLink = &study.Error{Code: "rave.link", Op: "the link to the next page leads elsewhere, or back", Exit: study.ExitBlocked,
		Hint: "the page before it is taken in, and the next run asks for it again; if it stays, report it to Medidata"}
)

// judge finds the errors that Rave tells in words.
func judge(status int, _ http.Header, body []byte) error {
	body = body[:min(len(body), 4<<10)]
	switch {
	case status == http.StatusUnauthorized, bytes.Contains(body, []byte("[RWS00008]")):
		return errLogin
	case status == http.StatusForbidden:
		return errRights
	case status < http.StatusBadRequest:
		return nil
	case bytes.Contains(body, []byte(`ReasonCode="RWS00014"`)):
		return errStudy
	case bytes.Contains(body, []byte(`ReasonCode="RWS00024"`)):
		return errRights
	case bytes.Contains(body, []byte(`ReasonCode="RWS00092"`)):
		return errVersion
	}
	return nil // its status says what it is
}
