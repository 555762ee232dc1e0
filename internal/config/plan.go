package config

import (
	"cmp"
	"crypto/sha256"
	"os"
	"slices"
	"strings"

	"longitude/study"
)

// Plan is what new documents say otherwise than those in force, document by
// document: studies first, then sources, by name.
type Plan []DocumentChange

// DocumentChange is what one document says otherwise. A document that is gone has
// no new digest.
type DocumentChange struct {
	Kind, Name string
	Old, New   study.Digest
	Changes    []Change
}

// NewPlan compares documents as recorded with documents as they are now. The
// findings are about the recorded ones: what this version no longer reads of them
// is not compared.
func NewPlan(recorded, now []Document, opt Options) (Plan, []Finding) {
	before, after := readDocuments(recorded, opt), readDocuments(now, opt)
	before.link()
	after.link()
	var plan Plan
	for _, d := range now {
		i := slices.IndexFunc(recorded, func(o Document) bool { return o.Kind == d.Kind && o.Name == d.Name })
		if i < 0 {
			plan = append(plan, DocumentChange{d.Kind, d.Name, study.Digest{}, d.Digest, []Change{{d.Kind, d.Kind + " " + d.Name + " is new", Additive}}})
			continue
		}
		change := DocumentChange{d.Kind, d.Name, recorded[i].Digest, d.Digest, compareNamed(d.Kind, d.Name, before, after, opt.Today)}
		if len(change.Changes) == 0 && change.Old != change.New {
			change.Changes = []Change{{d.Kind, unseen(d.Kind), NoEffect}}
		}
		if len(change.Changes) > 0 {
			plan = append(plan, change)
		}
	}
	for _, d := range recorded {
		if !slices.ContainsFunc(now, func(n Document) bool { return n.Kind == d.Kind && n.Name == d.Name }) {
			plan = append(plan, DocumentChange{d.Kind, d.Name, d.Digest, study.Digest{}, []Change{gone(d)}})
		}
	}
	slices.SortFunc(plan, func(a, b DocumentChange) int {
		return cmp.Or(-strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
	return plan, before.finish()
}

// unseen says what changed where nothing that is compared did.
func unseen(kind string) string {
	if kind == "source" {
		return "comments, layout or the keys of the connector changed"
	}
	return "comments or layout changed"
}

func gone(d Document) Change {
	if d.Kind == "study" {
		return Change{d.Kind, "study " + d.Name + " is removed", Destructive}
	}
	return Change{d.Kind, "source " + d.Name + " is removed; what it delivered stays", NoEffect}
}

// compareNamed compares one document. What cannot be read is not taken for equal.
func compareNamed(kind, name string, before, after *Config, today study.Date) []Change {
	if kind == "study" {
		if old, now := before.named(name), after.named(name); old != nil && now != nil {
			return Compare(old, now, today)
		}
	} else if old, now := before.sourceNamed(name), after.sourceNamed(name); old != nil && now != nil {
		return CompareSources(old, now)
	}
	return []Change{{kind, kind + " " + name + " as recorded cannot be read, so its changes are not known", Destructive}}
}

func (c *Config) named(name string) *study.Study {
	for _, s := range c.Studies {
		if s.Name == name {
			return s
		}
	}
	return nil
}

func (c *Config) sourceNamed(name string) *study.Source {
	for _, s := range c.Sources {
		if s.Name == name {
			return &s.Source
		}
	}
	return nil
}

// PlanHash names a plan: who confirms it has seen every change, of these
// documents and no others.
func PlanHash(p Plan) study.Digest {
	h := sha256.New()
	write := func(words ...string) {
		for _, word := range words {
			h.Write([]byte(word))
			h.Write([]byte{0})
		}
	}
	for _, d := range p {
		write("document", d.Kind, d.Name, d.Old.String(), d.New.String())
		for _, c := range d.Changes {
			write("change", c.Path, string(c.Class), c.Text)
		}
	}
	return study.Digest(h.Sum(nil))
}

// Read reads the body of one document that was recorded earlier. Keys that this
// version does not know are findings, and everything else is read.
func Read(kind, body string, opt Options) (*study.Study, *study.Source, []Finding) {
	c := readDocuments([]Document{{Kind: kind, Body: body}}, opt)
	findings := c.finish()
	switch {
	case len(c.Studies) > 0:
		return c.Studies[0], nil, findings
	case len(c.Sources) > 0:
		return nil, &c.Sources[0].Source, findings
	}
	return nil, nil, findings
}

// readDocuments reads recorded documents, as Load does those of a folder.
func readDocuments(docs []Document, opt Options) *Config {
	if opt.Getenv == nil {
		opt.Getenv = os.Getenv
	}
	c := &Config{}
	for _, doc := range docs {
		d := &document{file: strings.TrimSpace(doc.Kind + " " + doc.Name), first: 1, lines: strings.Split(doc.Body, "\n"), getenv: opt.Getenv}
		c.docs = append(c.docs, d)
		c.add(d, opt)
	}
	return c
}
