package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"longitude/internal/status"
)

// Problem is a refusal as RFC 9457 wants it, with our stable code and what to
// do next. It never repeats the input it refuses.
type Problem struct {
	Type   string  `json:"type" doc:"urn:longitude:error: and the code" example:"urn:longitude:error:status.not_found"`
	Title  string  `json:"title" example:"Not Found"`
	Status int     `json:"status" example:"404"`
	Detail string  `json:"detail" doc:"What happened, and to what" example:"run 12 does not exist"`
	Code   string  `json:"code" doc:"Stable" example:"status.not_found"`
	Hint   string  `json:"hint,omitempty" doc:"What to do next"`
	Errors []Fault `json:"errors,omitempty" doc:"Each fault of the request"`
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty" example:"query.limit"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func newProblem(status int, code, detail, hint string) *Problem {
	return &Problem{Type: "urn:longitude:error:" + code, Title: http.StatusText(status),
		Status: status, Detail: detail, Code: code, Hint: hint}
}

// huma makes its own refusals through this variable, and describes them by the
// type it returns: it is the library's only place to say so.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		if status >= http.StatusInternalServerError {
			return problemOf(nil) // an error of the library's, not to be told
		}
		p := newProblem(status, "api.bad_request", message, "Correct the request; "+Root+"/openapi.yaml describes it.")
		for _, err := range errs {
			var d huma.ErrorDetailer
			if errors.As(err, &d) { // its Value would repeat the input
				p.Errors = append(p.Errors, Fault{Message: d.ErrorDetail().Message, Location: d.ErrorDetail().Location})
			}
		}
		return p
	}
}

// problemOf tells an error of storage or of the trigger.
func problemOf(err error) *Problem {
	code, e := status.Refusal(err)
	return newProblem(code, e.Code, e.Op, e.Hint)
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller has gone; nothing to do
}
