package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"longitude/internal/config"
	"longitude/internal/postgres"
	"longitude/study"
)

// enforce compares the documents with those in force. What drops nothing and
// judges nothing accepted anew is in force from here on; what would must be
// planned and applied first, and until then only what is recorded can be shown,
// under the documents it was recorded under.
func (h *house) enforce(ctx context.Context, n need) error {
	before, err := h.store.InForce(ctx)
	if err != nil {
		return err
	}
	h.changes = h.planned(before)
	switch {
	case n == needPlan:
		return nil
	case gravest(h.changes) != config.Destructive:
		return h.adopt(ctx)
	case n == needReading:
		h.goBack(before)
		h.a.progress("the configuration has changes that are not in force: `longitude plan` shows them")
		return h.register(ctx)
	}
	return h.refused(ctx, "", "configuration", destructive(h.changes))
}

// planned is what the documents say otherwise than those in force.
func (h *house) planned(before map[[2]string]postgres.Document) config.Plan {
	now := h.documents()
	if same(before, now) {
		return nil
	}
	opt := h.a.configOptions()
	opt.Today = study.DateOf(h.now(), time.UTC)
	plan, _ := config.NewPlan(listed(before), now, opt)
	return plan
}

// same reports whether documents are those in force: reading them costs something,
// and is for when something changed.
func same(before map[[2]string]postgres.Document, now []config.Document) bool {
	for _, d := range now {
		if before[[2]string{d.Kind, d.Name}].Digest != d.Digest {
			return false
		}
	}
	return len(now) == len(before)
}

// listed are documents in force, studies before their sources.
func listed(docs map[[2]string]postgres.Document) (all []config.Document) {
	for _, d := range docs {
		all = append(all, config.Document(d))
	}
	slices.SortFunc(all, func(a, b config.Document) int {
		return cmp.Or(-strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
	return all
}

// current refuses work in a process that has been running since before a plan was
// applied: it would judge by what was in force then.
func (h *house) current(ctx context.Context) error {
	now, err := h.store.InForce(ctx)
	if err != nil || same(now, h.documents()) {
		return err
	}
	if plan, _ := config.NewPlan(h.documents(), listed(now), h.a.configOptions()); gravest(plan) != config.Destructive {
		return nil
	}
	return &study.Error{Code: "config.superseded", Op: "another configuration has been applied since this process started", Exit: study.ExitBlocked,
		Hint: "restart `longitude serve`: it goes on under the one in force"}
}

// documents are those of all studies and their sources.
func (h *house) documents() (all []config.Document) {
	for _, s := range h.cfg.Studies {
		all = append(all, h.cfg.Documents(s.Name)...)
	}
	return all
}

func gravest(plan config.Plan) config.Class {
	var all []config.Change
	for _, d := range plan {
		all = append(all, d.Changes...)
	}
	return config.Gravest(all)
}

// adopt registers the studies and puts changes in force that ask nobody.
func (h *house) adopt(ctx context.Context) error {
	if err := h.register(ctx); err != nil || len(h.changes) == 0 {
		return err
	}
	actor, err := whoever()
	if err != nil {
		return err
	}
	if err := h.putInForce(ctx, actor); err != nil {
		return err
	}
	h.tellAdopted()
	return nil
}

// putInForce records the changed documents as those that count, with the diff.
func (h *house) putInForce(ctx context.Context, actor string) error {
	now := h.documents()
	var docs []postgres.Document
	for _, d := range h.changes {
		doc := postgres.Document{Kind: d.Kind, Name: d.Name}
		i := slices.IndexFunc(now, func(n config.Document) bool { return n.Kind == d.Kind && n.Name == d.Name })
		if i >= 0 {
			doc = postgres.Document(now[i])
		}
		docs = append(docs, doc)
	}
	return h.store.Apply(ctx, docs, config.PlanHash(h.changes).String(), string(gravest(h.changes)), actor, strings.Join(sentences(h.changes), "\n"))
}

// sentences are the changes of a plan, a line each.
func sentences(plan config.Plan) (lines []string) {
	for _, d := range plan {
		for _, c := range d.Changes {
			lines = append(lines, fmt.Sprintf("%s %s: %s (%s)", d.Kind, d.Name, c.Text, c.Class))
		}
	}
	return lines
}

// tellAdopted says what counts otherwise from now on, and what brings it to what
// was recorded before.
func (h *house) tellAdopted() {
	for _, d := range h.changes {
		if d.Old.IsZero() {
			continue // new: there is nothing before
		}
		for _, c := range d.Changes {
			if c.Class != config.NoEffect {
				h.a.progress("in force from now on: %s %s: %s", d.Kind, d.Name, c.Text)
			}
		}
		switch config.Gravest(d.Changes) {
		case config.Replay:
			h.a.progress("  → what was delivered before is read again by `longitude replay %s --all`", d.Name)
		case config.Rejudge:
			h.a.progress("  → everybody is judged by it tonight, or now by `longitude participant recalculate --all --study %s`", d.Name)
		}
	}
}

// goBack shows the studies as they are in force.
func (h *house) goBack(before map[[2]string]postgres.Document) {
	h.cfg.Studies = nil
	for _, key := range slices.SortedFunc(maps.Keys(before), func(a, b [2]string) int { return strings.Compare(a[1], b[1]) }) {
		if key[0] != "study" {
			continue
		}
		if s, _, _ := config.Read(key[0], before[key].Body, h.a.configOptions()); s != nil {
			h.cfg.Studies = append(h.cfg.Studies, s)
		}
	}
	h.cfg.Sources = slices.DeleteFunc(slices.Clone(h.cfg.Sources), func(src *config.SourceConfig) bool {
		return !slices.ContainsFunc(h.cfg.Studies, func(s *study.Study) bool { return s.Name == src.Study })
	})
}

// destructive refuses to work under documents that wait to be applied.
func destructive(plan config.Plan) error {
	var first string
	n := 0
	for _, d := range plan {
		for _, c := range d.Changes {
			if c.Class != config.Destructive {
				continue
			}
			if n++; n == 1 {
				first = d.Kind + " " + d.Name + ": " + c.Text
			}
		}
	}
	if n > 1 {
		first += fmt.Sprintf(" (and %d more)", n-1)
	}
	return &study.Error{Code: "config.destructive", Op: "the configuration would drop or re-judge accepted data: " + first, Exit: study.ExitBlocked,
		Hint: "`longitude plan` shows all of it, `longitude apply` puts it in force; or take the change back"}
}
