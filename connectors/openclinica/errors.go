package openclinica

import (
	"bytes"
	"errors"
	"net/http"
	"strings"

	"longitude/study"
)

var (
	errLogin = &study.Error{Code: "openclinica.login_refused", Op: "OpenClinica does not accept user and password", Exit: study.ExitEnvironment,
		Hint: "compare both with OpenClinica in a browser; nothing is tried again, because that locks accounts"}
	errSession = &study.Error{Code: "openclinica.session", Op: "OpenClinica asks to log in again right after logging in", Exit: study.ExitEnvironment,
		Hint: "compare url with the address that a browser shows, and have the account allowed to use the web services"}
	errNothing = &study.Error{Code: "openclinica.nothing", Op: "OpenClinica answers with nothing, which is how it refuses a study", Exit: study.ExitEnvironment,
		Hint: "compare studies with the OIDs in OpenClinica, and have the account granted the right to view them"}
	errPage = &study.Error{Code: "openclinica.page", Op: "a page for people came instead of data", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; if it keeps happening, a browser shows what it says; compare url, login and metadata with it"}
	errTruncated = &study.Error{Code: "openclinica.truncated", Op: "the export is cut off", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; if it keeps happening, name the sites under studies instead of the study"}
	errToken = &study.Error{Code: "openclinica.token", Op: "OpenClinica gives out no token where token_url points to", Exit: study.ExitUsage,
		Hint: "compare token_url with the address of the study's build server"}
)

// judge finds the errors that OpenClinica tells with a page, or with nothing.
func judge(status int, header http.Header, body []byte) error {
	text := bytes.TrimSpace(body)
	switch {
	case status == http.StatusFound, status < http.StatusMultipleChoices && isLogin(text):
		return errSession
	case status >= http.StatusMultipleChoices:
		return nil // its status says what it is
	case len(text) == 0:
		return errNothing
	case isPage(header, text):
		return errPage
	case !bytes.HasSuffix(text, []byte("</ODM>")):
		return errTruncated
	}
	return nil
}

// isPage reports whether an answer is a page for people.
func isPage(header http.Header, text []byte) bool {
	head := bytes.ToLower(text[:min(len(text), 64)])
	return strings.HasPrefix(header.Get("Content-Type"), "text/html") || bytes.HasPrefix(head, []byte("<!doctype html")) || bytes.HasPrefix(head, []byte("<html"))
}

// isLogin reports whether an answer is the form that asks who is there.
func isLogin(text []byte) bool {
	return len(text) < 1<<20 && bytes.Contains(text, []byte("j_username")) && !bytes.Contains(text, []byte("</ODM>"))
}

// is reports whether an error is one of these, also as the client tells it.
func is(err error, one *study.Error) bool {
	var e *study.Error
	return errors.As(err, &e) && e.Code == one.Code
}
