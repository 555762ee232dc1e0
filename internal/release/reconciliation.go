package release

import (
	"bytes"
	"fmt"
)

// reconciliation is reports/reconciliation.json: the count equations of what was
// ingested and of what was released. Outside of the house counts from 1 to 10 are not
// told, in either form, nor is any that would give one of them away.
type reconciliation struct {
	Batches   int64      `json:"batches"`
	Balanced  bool       `json:"balanced"`
	Equations []equation `json:"equations"`
}

// equation is a total and the parts that it is the sum of.
type equation struct {
	Of    string `json:"of"`
	Total string `json:"total"`
	Parts []told `json:"parts"`
}

func newReconciliation(p Plan, tell teller) (reconciliation, error) {
	c, t := p.Counts, p.Tally
	rows, records := c.Unaccounted()
	r := reconciliation{Batches: p.Batches, Balanced: rows == 0 && records == 0 && t.Unaccounted() == 0}
	for _, e := range []struct {
		of    string
		total int64
		parts []part
	}{
		{"Rows read", c.Read, []part{{"mapped", c.Mapped}, {"quarantined", c.RowsQuarantined}, {"ignored by the mapping", c.Ignored}}},
		{"Records produced", c.Produced, []part{{"accepted", c.Accepted}, {"unchanged", c.Unchanged}, {"superseded", c.Superseded}, {"quarantined", c.Quarantined}, {"held", c.Held}}},
		{"Current records", t.Records, []part{{"released", t.Released}, {"held", t.Held}, {"withheld with their visit", t.Withheld},
			{"of visits that have not happened", t.NotHappened}, {"after the data cut-off", t.AfterCutoff}, {"near the ends of shifted data", t.Truncated}}},
	} {
		next, err := newEquation(e.of, e.total, e.parts, tell)
		if err != nil {
			return r, err
		}
		r.Equations = append(r.Equations, next)
	}
	return r, nil
}

type part struct {
	name  string
	count int64
}

// newEquation hides what is small and what would give it away. A total that is not
// the sum of its parts is told by itself: the release is refused for it.
func newEquation(of string, total int64, parts []part, tell teller) (equation, error) {
	counts, sum := make([]int64, len(parts)), int64(0)
	for i, p := range parts {
		counts[i], sum = p.count, sum+p.count
	}
	cells, shown, err := tell.list(counts)
	if sum != total {
		shown = tell.alone(total)
	}
	e := equation{Of: of, Total: shown}
	for i, cell := range cells {
		e.Parts = append(e.Parts, told{parts[i].name, cell})
	}
	return e, err
}

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
