package status

import (
	"errors"
	"net/http"

	"longitude/study"
)

// Refusal is what a surface may tell of err: an HTTP status and the error's own
// words, without what it wraps. An error that is none of ours tells nothing.
func Refusal(err error) (int, *study.Error) {
	var e *study.Error
	if !errors.As(err, &e) {
		return http.StatusInternalServerError, &study.Error{Code: "internal",
			Op: "the request failed inside Longitude", Hint: "The log tells more."}
	}
	told := &study.Error{Code: e.Code, Op: e.Op, Hint: e.Hint}
	switch {
	case e.Code == CodeNotFound:
		return http.StatusNotFound, told
	case e.Temporary, e.Exit == study.ExitEnvironment:
		return http.StatusServiceUnavailable, told
	case e.Exit == study.ExitBlocked:
		return http.StatusConflict, told
	case e.Exit == study.ExitUsage:
		return http.StatusBadRequest, told
	}
	return http.StatusInternalServerError, told
}
