package release

import (
	"bytes"
	"fmt"
)

// reconciliation is reports/reconciliation.json: the count equations of what was
// ingested and of what was released. Counts from 1 to 10 are not told, in either
// form, nor is any that would give one of them away.
type reconciliation struct {
	Batches   int64      `json:"batches"`
	Balanced  bool       `json:"balanced"`
	Equations []equation `json:"equations"`
}

// equation is a total and the parts that it is the sum of.
type equation struct {
	Of    string `json:"of"`
	Total string `json:"total"`
	Parts []part `json:"parts"`
}

type part struct {
	Name  string `json:"name"`
	Count string `json:"count"`
	exact int64
}

func newReconciliation(p Plan) reconciliation {
	c, t := p.Counts, p.Tally
	rows, records := c.Unaccounted()
	return reconciliation{
		Batches:  p.Batches,
		Balanced: rows == 0 && records == 0 && t.Unaccounted() == 0,
		Equations: []equation{
			newEquation("Rows read", c.Read, part{Name: "mapped", exact: c.Mapped}, part{Name: "quarantined", exact: c.RowsQuarantined},
				part{Name: "ignored by the mapping", exact: c.Ignored}),
			newEquation("Records produced", c.Produced, part{Name: "accepted", exact: c.Accepted}, part{Name: "unchanged", exact: c.Unchanged},
				part{Name: "superseded", exact: c.Superseded}, part{Name: "quarantined", exact: c.Quarantined}, part{Name: "held", exact: c.Held}),
			newEquation("Current records", t.Records, part{Name: "released", exact: t.Released}, part{Name: "held", exact: t.Held},
				part{Name: "withheld with their visit", exact: t.Withheld}, part{Name: "of visits that have not happened", exact: t.NotHappened},
				part{Name: "after the data cut-off", exact: t.AfterCutoff}),
		},
	}
}

// notShown stands for a count that would give a small one away.
const notShown = "not shown"

// newEquation masks the small parts, and then the next smallest until what is
// hidden adds up to a number that is not small itself: else the total less the
// others would tell it.
func newEquation(of string, total int64, parts ...part) equation {
	var hidden int64
	for i := range parts {
		if parts[i].Count = masked(parts[i].exact); small(parts[i].exact) {
			hidden += parts[i].exact
		}
	}
	for small(hidden) {
		next := -1
		for i := range parts {
			if n := parts[i].exact; n >= smallest && parts[i].Count != notShown && (next < 0 || n < parts[next].exact) {
				next = i
			}
		}
		if next < 0 {
			break // the total is small too, and masked
		}
		parts[next].Count = notShown
		hidden += parts[next].exact
	}
	return equation{Of: of, Total: masked(total), Parts: parts}
}

func small(n int64) bool { return n > 0 && n < smallest }

// text is reports/reconciliation.md.
func (r reconciliation) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Does every count reconcile?\n\n%s, over %d batches. Counts from 1 to 10 print as <11; a count that would give one of them away is not shown.\n\n",
		map[bool]string{true: "Yes", false: "**No**"}[r.Balanced], r.Batches)
	for _, e := range r.Equations {
		fmt.Fprintf(&b, "## %s\n\n| | |\n|---|---:|\n", e.Of)
		for _, p := range e.Parts {
			fmt.Fprintf(&b, "| %s | %s |\n", p.Name, p.Count)
		}
		fmt.Fprintf(&b, "| **together** | **%s** |\n\n", e.Total)
	}
	return b.Bytes()
}
