package redcap

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"longitude/internal/webclient"
	"longitude/study"
)

// REDCap answers errors with status 200, too: a page, PHP's words, or the words of a
// database that is down. What is an answer is decided here, by what the body begins
// and ends with.
var (
	errToken = &study.Error{Code: "redcap.token_refused", Op: "REDCap does not accept the token, or the user has no right to use the API", Exit: study.ExitEnvironment,
		Hint: "compare the token with the one that the project shows under API, and have the user granted the right of API export; nothing is tried again"}
	errMemory = &study.Error{Code: "redcap.memory", Op: "REDCap ran out of memory", Exit: study.ExitEnvironment,
		Hint: "even one record is too large for the server, or the list of all: have its memory raised"}
	errPage = &study.Error{Code: "redcap.page", Op: "a page for people came instead of data", Exit: study.ExitUsage,
		Hint: "compare url with the address of the API, which ends in /api/; else it is a page of login or maintenance, which a browser shows"}
	errTabs = &study.Error{Code: "redcap.failed", Op: "REDCap answered with a page about an unknown error", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; if it keeps happening, ask whoever runs the server"}
	errDatabase = &study.Error{Code: "redcap.database_down", Op: "REDCap does not reach its database", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; if it keeps happening, ask whoever runs the server"}
	errTruncated = &study.Error{Code: "redcap.truncated", Op: "the answer is cut off or damaged", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; if it keeps happening, lower batch"}
	errRefused = &study.Error{Code: "redcap.refused", Op: "REDCap refused the request",
		Hint: "a field, form or event may just have been renamed: run again; else look at what the project's rights allow the user"}
)

// beginning is how much of a body is looked at where it is no data.
const beginning = 4 << 10

// judge finds the errors that REDCap tells with a body instead of a status.
func judge(status int, _ http.Header, body []byte) error {
	body = bytes.TrimSpace(body)
	head, tail := body[:min(len(body), beginning)], body[max(0, len(body)-beginning):]
	switch {
	case bytes.Contains(tail, []byte(`REDCap ran out of server memory`)):
		return errMemory
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return errToken
	case status == http.StatusBadRequest:
		return errRefused
	case status >= http.StatusMultipleChoices:
		return nil // its status says what it is
	case bytes.Contains(head, []byte("multiple browser tabs of the same REDCap page")):
		return errTabs
	case bytes.Contains(head, []byte("could not connect")) && bytes.Contains(head, []byte("hostname")):
		return errDatabase
	case bytes.HasPrefix(head, []byte(`{"error"`)):
		return errRefused
	case bytes.HasPrefix(head, []byte("<")) && !bytes.HasPrefix(head, []byte("<?xml")):
		return errPage
	}
	return nil
}

// judgeJSON is judge for JSON, which must have come whole.
func judgeJSON(status int, header http.Header, body []byte) error {
	if err := judge(status, header, body); err != nil || status >= http.StatusMultipleChoices {
		return err
	}
	if !json.Valid(body) {
		return errTruncated
	}
	return nil
}

// parameters of a request besides those that every one has.
type parameters map[string][]string

// ask posts one request and answers the body.
func (s *source) ask(ctx context.Context, op, content string, p parameters) ([]byte, error) {
	token, err := s.config.Token.Reveal()
	if err != nil {
		return nil, err
	}
	form := url.Values{"token": {token}, "content": {content}, "format": {"json"}, "returnFormat": {"json"}}
	check := judgeJSON
	if content == "project_xml" {
		form.Set("format", "xml")
		check = judge
	}
	for key, values := range p {
		for i, value := range values {
			if strings.HasSuffix(key, "[]") {
				form.Set(strings.TrimSuffix(key, "]")+strconv.Itoa(i)+"]", value)
			} else {
				form.Set(key, value)
			}
		}
	}
	answer, err := s.web.Read(ctx, webclient.Request{Op: op, Method: http.MethodPost, URL: s.config.address(), Body: []byte(form.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}, HTML: true, Judge: check})
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// project is what the connector needs to know of a project.
type project struct {
	ID           int  `json:"project_id"`
	Longitudinal flag `json:"is_longitudinal"`
	Repeating    flag `json:"has_repeating_instruments_or_events"`
}

// flag is written as a number or as text.
type flag bool

func (f *flag) UnmarshalJSON(text []byte) error {
	*f = string(text) == "1" || string(text) == `"1"`
	return nil
}

// look asks for the project, and refuses another one than was configured.
func (s *source) look(ctx context.Context) (p project, raw []byte, err error) {
	raw, err = s.ask(ctx, "asking REDCap for the project", "project", nil)
	if err != nil {
		return p, nil, err
	}
	if json.Unmarshal(raw, &p) != nil || p.ID == 0 {
		return p, nil, errTruncated
	}
	if want := s.config.ProjectID; want != 0 && p.ID != want {
		return p, nil, &study.Error{Code: "redcap.other_project", Op: "the token is of project " + strconv.Itoa(p.ID) + ", not of project " + strconv.Itoa(want), Exit: study.ExitUsage,
			Hint: "write the token of the project, or correct project_id"}
	}
	return p, raw, nil
}

// identifier asks for the dictionary, whose first field is the identifier of records.
func (s *source) identifier(ctx context.Context) (name string, raw []byte, err error) {
	raw, err = s.ask(ctx, "asking REDCap for the dictionary", "metadata", nil)
	if err != nil {
		return "", nil, err
	}
	var fields []struct {
		Name string `json:"field_name"`
	}
	if json.Unmarshal(raw, &fields) != nil {
		return "", nil, errTruncated
	}
	if len(fields) == 0 || fields[0].Name == "" {
		return "", nil, &study.Error{Code: "redcap.no_fields", Op: "the project has no field that the user may see",
			Hint: "define the project's fields, and have the user granted the right to export its forms"}
	}
	return fields[0].Name, raw, nil
}

// ids asks for the identifiers of records, of all or of those that changed since a
// time in the server's zone; each once, in no order.
func (s *source) ids(ctx context.Context, op, identifier, since string) ([]string, error) {
	p := parameters{"action": {"export"}, "type": {"flat"}, "rawOrLabel": {"raw"}, "fields[]": {identifier}}
	if since != "" {
		p["dateRangeBegin"] = []string{since}
	}
	raw, err := s.ask(ctx, op, "record", p)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out []string
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, errTruncated
	}
	for d.More() {
		var row map[string]any
		if d.Decode(&row) != nil {
			return nil, errTruncated
		}
		id, ok := row[identifier].(string)
		if !ok || id == "" || strings.ContainsAny(id, "\r\n") {
			return nil, errIdentifier
		}
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out, nil
}

var errIdentifier = &study.Error{Code: "redcap.identifier", Op: "the answer does not say which record a row belongs to",
	Hint: "the first field of the dictionary names the records: have the user granted the right to export its form"}

// records asks for all of some records.
func (s *source) records(ctx context.Context, identifier string, ids []string) ([]byte, error) {
	raw, err := s.ask(ctx, "asking REDCap for records", "record", parameters{"action": {"export"}, "type": {"flat"}, "rawOrLabel": {"raw"},
		"rawOrLabelHeaders": {"raw"}, "exportSurveyFields": {"true"}, "exportDataAccessGroups": {"true"}, "exportBlankForGrayFormStatus": {"true"},
		"decimalCharacter": {"."}, "records[]": ids})
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, errTruncated
	}
	if !d.More() {
		return nil, nil
	}
	var first map[string]any
	if d.Decode(&first) != nil {
		return nil, errTruncated
	}
	if _, ok := first[identifier].(string); !ok {
		return nil, errIdentifier
	}
	return raw, nil
}
