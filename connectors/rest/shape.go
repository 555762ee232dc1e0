package rest

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"longitude/study"
)

// shape is what a page of a stream looks like, without anything that it says.
type shape struct {
	Stream  string   `json:"stream"`
	Format  string   `json:"format"`
	Records string   `json:"records"`
	Columns []column `json:"columns"`
	Hidden  int      `json:"hidden,omitempty"` // columns whose names could be a person's
}

// column is one value of the records of a page.
type column struct {
	At    string   `json:"at"`    // JSON pointer, or the name of a column
	Types []string `json:"types"` // that occurred: text, integer, decimal, boolean, date, datetime, list
	Empty bool     `json:"empty"` // some records do not have it
}

// tries is how many children of a stream are asked until one has records.
const tries = 5

// Discover implements connectors.Discoverer. It asks for one page of each stream
// and tells the names and types that occur there; the values are forgotten.
func (s *source) Discover(ctx context.Context) (all []study.Metadata, err error) {
	for _, of := range s.config.Streams {
		if of.Only || of.Export.Path != "" {
			continue
		}
		chains, err := s.chains(ctx, of)
		if err != nil {
			return nil, err
		}
		found := shape{Stream: of.Name, Format: of.format(), Records: of.Records}
		for _, c := range chains[:min(tries, len(chains))] {
			f, err := s.get(ctx, c, place{}, of.Since.Initial)
			if err != nil {
				return nil, err
			}
			records, err := look(of, f.body).records(of.Records)
			if err != nil {
				return nil, err
			}
			if len(records) > 0 {
				found.see(records)
				break
			}
		}
		text, _ := json.Marshal(found) // texts always can be
		all = append(all, study.Metadata{Name: of.Name, Bytes: text})
	}
	return all, nil
}

// see takes up the names and types of records.
func (h *shape) see(records []record) {
	types, count, order := map[string]map[string]bool{}, map[string]int{}, []string(nil)
	for _, r := range records {
		seen := map[string]bool{}
		r.columns(func(at, kind string) {
			if types[at] == nil {
				types[at], order = map[string]bool{}, append(order, at)
			}
			if kind != "" {
				types[at][kind] = true
				if !seen[at] {
					seen[at] = true
					count[at]++
				}
			}
		})
	}
	for _, at := range order {
		if telling.MatchString(at) {
			h.Hidden++
			continue
		}
		h.Columns = append(h.Columns, column{At: at, Types: append([]string{}, slices.Sorted(maps.Keys(types[at]))...), Empty: count[at] < len(records)})
	}
}

// telling are names that could be a person's: an address, or a number of six digits
// or more.
var telling = regexp.MustCompile(`@|(\d[^\d]?){6}`)

// columns calls with each value of a JSON record and its type, "" of none.
func (d document) columns(with func(at, kind string)) { jsonColumns(json.RawMessage(d), "", with) }

func jsonColumns(text json.RawMessage, at string, with func(at, kind string)) {
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) == nil && members != nil {
		for _, name := range slices.Sorted(maps.Keys(members)) {
			jsonColumns(members[name], at+"/"+escape.Replace(name), with)
		}
		return
	}
	if at == "" {
		return
	}
	kind := ""
	switch trimmed := strings.TrimSpace(string(text)); {
	case strings.HasPrefix(trimmed, "["):
		kind = "list"
	case strings.HasPrefix(trimmed, `"`):
		kind = typeOf(scalar(text))
	case trimmed == "true", trimmed == "false":
		kind = "boolean"
	case trimmed != "null":
		kind = numberType(trimmed)
	}
	with(at, kind)
}

func (r row) columns(with func(at, kind string)) {
	for _, name := range r.header {
		with(name, typeOf(r.value(name)))
	}
}

// columns of XML are the elements directly inside a record.
func (e element) columns(with func(at, kind string)) {
	for _, name := range tree(e).children() {
		with(name, typeOf(e.value(name)))
	}
}

func (file) columns(func(at, kind string)) {}

// typeOf is the type that a text could be of; "" of none.
func typeOf(text string) string {
	switch {
	case text == "":
		return ""
	case parses(time.DateOnly, text):
		return "date"
	case parses(time.RFC3339Nano, text), parses(time.DateTime, text), parses("2006-01-02T15:04:05", text):
		return "datetime"
	}
	return numberType(text)
}

func parses(layout, text string) bool {
	_, err := time.Parse(layout, text)
	return err == nil
}

// numberType leaves texts with leading zeros texts: they are codes.
func numberType(text string) string {
	if len(text) > 1 && text[0] == '0' && text[1] != '.' {
		return "text"
	}
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return "integer"
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f == f && f-f == 0 {
		return "decimal"
	}
	return "text"
}
