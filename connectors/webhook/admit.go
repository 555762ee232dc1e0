package webhook

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"longitude/connectors"
	"longitude/study"
)

// Admit implements connectors.Receiver.
func (s *source) Admit(header http.Header, secret string, body []byte) (id string, content []byte, err error) {
	keys, err := s.keys()
	if err != nil {
		return "", nil, err
	}
	p := schemes[s.config.Scheme].prove(&s.config, &request{header, secret, body}, keys)
	if !p.ok {
		return "", nil, refuse("webhook.unauthorized", "a request does not prove who sent it", "compare scheme and secrets with what the sender has")
	}
	if p.at != "" && !s.timely(p.at) {
		return "", nil, refuse("webhook.stale", "a request was signed too long ago, or in the future", "have the sender's clock set, and requests signed when they are sent")
	}
	switch s.config.State {
	case stateClosed:
		return "", nil, refuse("webhook.closed", "the source takes no more requests", "the sender can remove it; state: open in the source opens it again")
	case statePaused:
		e := refuse("webhook.paused", "the source is paused", "send it again later; state: open in the source opens it again")
		e.Temporary, e.RetryAfter = true, time.Hour
		return "", nil, e
	}
	content, err = s.content(header, body)
	return p.id, content, err
}

func refuse(code, op, hint string) *study.Error {
	return &study.Error{Code: code, Op: op, Hint: hint, Exit: study.ExitBlocked}
}

// timely reports whether a request was signed within the window before or after now.
func (s *source) timely(at string) bool {
	signed, ok := seconds(at)
	window := int64(s.config.ReplayWindow / time.Second)
	away := s.runtime.Now().Unix() - signed
	return ok && away <= window && away >= -window
}

// content is what is kept of a request that is the sender's.
func (s *source) content(header http.Header, body []byte) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || !slices.Contains(s.config.Accept, kind) {
		return nil, refuse("webhook.content_type", "a request's content type is not accepted here", "name it under accept in the source, or have the sender change it")
	}
	switch encoding := strings.ToLower(strings.TrimSpace(strings.Join(header["Content-Encoding"], ","))); {
	case encoding == "gzip" && s.config.Gzip:
		if body, err = s.unzipped(body); err != nil {
			return nil, err
		}
	case encoding != "" && encoding != "identity":
		return nil, refuse("webhook.content_encoding", "a request's content encoding is not accepted here", "have the sender send plain bodies, or write gzip: true in the source")
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, refuse("webhook.empty", "a request has no content", "nothing was sent, and nothing is kept")
	}
	return body, nil
}

// unzipped unpacks a body up to the limit of a request.
func (s *source) unzipped(body []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err == nil {
		var plain []byte
		plain, err = io.ReadAll(io.LimitReader(z, s.config.MaxBody+1))
		if int64(len(plain)) > s.config.MaxBody {
			return nil, refuse("webhook.too_large", "a request is larger than its source takes", "raise max_body in the source, or send less at once")
		}
		if err == nil {
			return plain, nil
		}
	}
	return nil, refuse("webhook.unpack", "a request's body is not gzip", "have the sender correct its Content-Encoding")
}

// Bounds implements connectors.Receiver.
func (s *source) Bounds() connectors.Bounds {
	return connectors.Bounds{Body: s.config.MaxBody, Rate: s.config.Rate, Burst: s.config.Burst, Waiting: s.config.MaxWaiting}
}

// Hint implements connectors.Receiver.
func (s *source) Hint() (string, bool) { return s.config.Pulls, s.config.Payload == payloadHint }

// Named implements connectors.Receiver.
func (s *source) Named(content []byte) []string {
	name := ""
	switch pointer, isPointer := strings.CutPrefix(s.config.Record, "/"); {
	case s.config.Record == "":
	case isPointer:
		name = textAt(content, strings.Split(pointer, "/"))
	default:
		form, err := url.ParseQuery(string(content))
		if err == nil {
			name = form.Get(s.config.Record)
		}
	}
	if name == "" {
		return nil
	}
	return []string{name}
}

// textAt is the string or number at a JSON pointer; "" where there is none.
func textAt(content []byte, steps []string) string {
	for _, step := range steps {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		var object map[string]json.RawMessage
		var list []json.RawMessage
		switch {
		case json.Unmarshal(content, &object) == nil:
			content = object[step]
		case json.Unmarshal(content, &list) == nil:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(list) {
				return ""
			}
			content = list[i]
		default:
			return ""
		}
	}
	var text string
	var number json.Number
	switch {
	case json.Unmarshal(content, &text) == nil:
		return text
	case json.Unmarshal(content, &number) == nil:
		return number.String()
	}
	return ""
}
