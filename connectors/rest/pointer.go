package rest

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// at is the part of a JSON text that a pointer (RFC 6901) leads to; nil when it
// leads nowhere. The texts of values are not changed: numbers keep their digits.
func at(text json.RawMessage, pointer string) json.RawMessage {
	for _, name := range names(pointer) {
		text = bytes.TrimLeft(text, " \t\r\n")
		switch {
		case len(text) == 0:
			return nil
		case text[0] == '{':
			var members map[string]json.RawMessage
			if json.Unmarshal(text, &members) != nil {
				return nil
			}
			text = members[name]
		case text[0] == '[':
			var elements []json.RawMessage
			i, err := strconv.Atoi(name)
			if err != nil || json.Unmarshal(text, &elements) != nil || i < 0 || i >= len(elements) {
				return nil
			}
			text = elements[i]
		default:
			return nil
		}
	}
	return text
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// names are the steps of a pointer; a name without a slash is one step.
func names(pointer string) []string {
	if pointer == "" {
		return nil
	}
	all := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i := range all {
		all[i] = unescape.Replace(all[i])
	}
	return all
}

// scalar is the text of a JSON value: of a string what it says, of numbers and
// booleans what is written; "" of everything else, null among it.
func scalar(text json.RawMessage) string {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return ""
	}
	switch text[0] {
	case '"':
		var s string
		if json.Unmarshal(text, &s) != nil {
			return ""
		}
		return s
	case '{', '[', 'n':
		return ""
	}
	return string(text)
}

// list is the values of a JSON array of scalars, or of one scalar.
func list(text json.RawMessage) (all []string) {
	var elements []json.RawMessage
	if json.Unmarshal(text, &elements) != nil {
		elements = []json.RawMessage{text}
	}
	for _, e := range elements {
		if s := scalar(e); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// each is the values that a way leads to, where the step * is every element of an
// array: /output/*/url.
func each(text json.RawMessage, steps []string) []string {
	for i, step := range steps {
		if step != "*" {
			text = at(text, "/"+escape.Replace(step))
			continue
		}
		var elements []json.RawMessage
		var all []string
		if json.Unmarshal(text, &elements) == nil {
			for _, e := range elements {
				all = append(all, each(e, steps[i+1:])...)
			}
		}
		return all
	}
	return list(text)
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")
