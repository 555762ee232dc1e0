package deid

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"strings"

	"longitude/study"
)

//go:embed zip3.txt
var zip3Table string

// restricted are the prefixes of few people.
var restricted = func() map[string]bool {
	prefixes := map[string]bool{}
	for line := range strings.Lines(zip3Table) {
		if prefix, _, ok := strings.Cut(line, " "); ok && prefix != "#" {
			prefixes[prefix] = true
		}
	}
	return prefixes
}()

// Zip3Table is the fingerprint of the table of restricted prefixes.
func Zip3Table() string {
	sum := sha256.Sum256([]byte(zip3Table))
	return hex.EncodeToString(sum[:])
}

// unpopulated stands for every prefix that may not be told.
const unpopulated = "000"

// zip3 is the prefix of a ZIP code that may be told. Prefixes up to 004 are in no
// use.
func zip3(code string) string {
	if len(code) != 5 && len(code) != 10 || !made(code[:5], "0123456789") || code < "005" || restricted[code[:3]] {
		return unpopulated
	}
	return code[:3]
}

func (r *Recipient) zipRule(t *study.Table, c study.Column, n *Counts) (rule, error) {
	if c.Kind != study.TextKind {
		return rule{}, misfit(t, c)
	}
	c.Description = sentence(c.Description, "First three digits; 000 where 20,000 people or fewer live.")
	return one(c, "first three digits of the ZIP code", func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		out := study.Vector{Valid: v.Valid, Texts: make([]string, b.Rows)}
		for i := range b.Rows {
			if v.Null(i) {
				continue
			}
			if out.Texts[i] = zip3(v.Texts[i]); out.Texts[i] == unpopulated {
				n.Pooled++
			}
		}
		return out, nil
	}), nil
}

// isPlace reports whether a name tells of a place smaller than a state.
func isPlace(name string) bool {
	for _, word := range wordsOf(name) {
		switch word {
		case "address", "city", "town", "village", "county", "district", "municipality", "parish", "street", "postcode", "postal", "zip", "zipcode", "precinct",
			"latitude", "longitude", "lat", "lon", "geocode":
			return true
		}
	}
	return false
}
