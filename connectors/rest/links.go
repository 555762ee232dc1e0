package rest

import (
	"net/http"
	"strings"
)

// nextLink is the address of rel="next" in the headers Link (RFC 8288); "" if there
// is none.
func nextLink(h http.Header) string {
	for _, text := range h.Values("Link") {
		for text != "" {
			_, rest, ok := strings.Cut(text, "<")
			if !ok {
				break
			}
			target, parameters, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			parameters, text = untilComma(parameters)
			if isNext(parameters) {
				return strings.TrimSpace(target)
			}
		}
	}
	return ""
}

// untilComma cuts at the first comma outside of quotes.
func untilComma(text string) (before, after string) {
	quoted := false
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

// isNext reports whether the parameters of a link name the relation next, perhaps
// among others.
func isNext(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for relation := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(relation, "next") {
				return true
			}
		}
		return false // of several the first counts
	}
	return false
}
