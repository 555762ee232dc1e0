package redcap

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// filter is a condition of filterLogic: comparisons of fields with literals, all of
// them joined by and, or all by or. That is less than REDCap understands.
type filter struct {
	parts []comparison
	any   bool
}

type comparison struct{ field, operator, literal string }

var compared = regexp.MustCompile(`^\s*\[([a-z0-9_]+)(?:\(([^)]+)\))?\]\s*(<>|!=|>=|<=|=|>|<)\s*(?:"([^"]*)"|'([^']*)'|(-?[0-9.]+))\s*$`)

func parseFilter(text string) (f filter, ok bool) {
	if strings.TrimSpace(text) == "" {
		return f, true
	}
	parts := regexp.MustCompile(`(?i)\s+and\s+`).Split(text, -1)
	if either := regexp.MustCompile(`(?i)\s+or\s+`).Split(text, -1); len(either) > 1 {
		if len(parts) > 1 {
			return f, false
		}
		parts, f.any = either, true
	}
	for _, part := range parts {
		m := compared.FindStringSubmatch(part)
		if m == nil {
			return f, false
		}
		name := m[1]
		if m[2] != "" {
			name = box(name, m[2])
		}
		f.parts = append(f.parts, comparison{name, m[3], m[4] + m[5] + m[6]})
	}
	return f, true
}

// passes evaluates the filter for one row.
func (f filter) passes(value func(string) string) bool {
	for _, c := range f.parts {
		if c.holds(value(c.field)) == f.any {
			return f.any
		}
	}
	return !f.any
}

func (c comparison) holds(value string) bool {
	order := strings.Compare(value, c.literal)
	x, errX := strconv.ParseFloat(value, 64)
	y, errY := strconv.ParseFloat(c.literal, 64)
	if errX == nil && errY == nil {
		order = cmp.Compare(x, y)
	}
	switch c.operator {
	case "=":
		return order == 0
	case "<>", "!=":
		return order != 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "<":
		return order < 0
	}
	return order <= 0
}
