package pipeline

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"longitude/deid"
	"longitude/study"
)

// refusals counts what is refused of an object, by rule, against what its source
// allows.
type refusals struct {
	source string
	limit  study.Limit
	rules  map[string]int64
	meant  int64 // of those, what is no fault of the object
}

// add counts a refusal. What a lock refuses says nothing of the object: it waits
// for the lock to be lifted. Nor does what is refused of who was erased.
func (r *refusals) add(rule string) {
	if rule == study.EditedAfterLock || rule == deid.IdentityErased {
		r.meant++
		return
	}
	if r.rules == nil {
		r.rules = map[string]int64{}
	}
	r.rules[rule]++
}

// shownRules bounds the rules that an error tells.
const shownRules = 5

// check refuses an object of which too many rows and records are refused. Before
// its end only a limit by count can be passed for good.
func (r *refusals) check(c *study.Counts, end bool) error {
	limit := r.limit
	if !end {
		limit.Share = 0
	}
	refused, all := c.RowsQuarantined+c.Quarantined-r.meant, c.Read+c.Produced
	if !limit.Exceeded(refused, all) {
		return nil
	}
	rules := slices.SortedFunc(maps.Keys(r.rules), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.rules[b], r.rules[a]), cmp.Compare(a, b))
	})
	var told []string
	for _, rule := range rules[:min(len(rules), shownRules)] {
		told = append(told, fmt.Sprintf("%s %d", rule, r.rules[rule]))
	}
	return &study.Error{Code: "ingest.too_many_rejected", Exit: study.ExitBlocked,
		Op: fmt.Sprintf("%d of the %d rows and records read of an object of source %s were refused (%s); nothing of it was recorded",
			refused, all, r.source, strings.Join(told, ", ")),
		Hint: "look at its rows with `longitude preview " + r.source + "`: correct the mapping or the object, or raise max_rejected in the source"}
}
