package deid

import (
	"cmp"
	"slices"

	"longitude/study"
)

// PooledSite is what sites of too few participants are released as.
const PooledSite = "POOLED"

// perPerson reports whether t has one row per participant: there quasi-identifiers
// are released, and the risk gate looks.
func perPerson(t *study.Table) bool {
	if len(t.Key) != 1 {
		return false
	}
	key := keyColumn(t)
	return key >= 0 && t.Columns[key].Name == t.Key[0]
}

func isSite(t *study.Table, c study.Column) bool {
	return perPerson(t) && c.Name == "site" && c.Field == "" && c.Kind == study.TextKind
}

// siteRule releases the site of a participant, small ones as one. A facility is a
// place smaller than a state, so under Safe Harbor its code is a keyed one.
func (r *Recipient) siteRule(t *study.Table, c study.Column, n *Counts) rule {
	masking := "kept"
	code := func(site string) string { return site }
	if r.study.Deid.Profile == "safe_harbor" {
		masking = "keyed id (HMAC-SHA-256, series key)"
		code = func(site string) string { return r.other('S', site) }
	}
	if least := r.study.Deid.MinSite; least > 0 {
		masking = joined(masking, "sites of few participants pooled")
		c.Description = sentence(c.Description, PooledSite+" stands for all sites of few participants.")
	}
	return one(c, masking, func(b *study.Batch, v *study.Vector) (study.Vector, error) {
		if r.study.Deid.MinSite > 0 && r.pooled == nil {
			return study.Vector{}, &study.Error{Code: "deid.no_population", Op: "release " + t.Name + "." + c.Name + ": the sites were not counted", Exit: study.ExitBlocked,
				Hint: "this is a fault of the program: report it with the code"}
		}
		out := study.Vector{Valid: v.Valid, Texts: make([]string, b.Rows)}
		for i := range b.Rows {
			switch {
			case v.Null(i):
			case r.pooled[v.Texts[i]]:
				out.Texts[i] = PooledSite
				n.Pooled++
			default:
				out.Texts[i] = code(v.Texts[i])
			}
		}
		return out, nil
	})
}

// pool names the sites to be released as one: those of fewer participants than
// asked for, and where these are too few together, the next larger ones too.
func pool(count map[string]int, least int) map[string]bool {
	sites := make([]string, 0, len(count))
	for site := range count {
		sites = append(sites, site)
	}
	slices.SortFunc(sites, func(a, b string) int { return cmp.Or(cmp.Compare(count[a], count[b]), cmp.Compare(a, b)) })
	pooled, together := map[string]bool{}, 0
	for _, site := range sites {
		if count[site] >= least && (together == 0 || together >= least) {
			break
		}
		pooled[site] = true
		together += count[site]
	}
	return pooled
}
