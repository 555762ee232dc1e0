package config

import (
	"strings"

	"longitude/study"
)

// Document is a study or source document as written: the version under which
// data were judged and mapped.
type Document struct {
	Kind, Name, Body string
	Digest           study.Digest
}

// Documents lists the documents that data of the named study depend on.
func (c *Config) Documents(studyName string) []Document {
	var out []Document
	for _, d := range c.docs {
		if d.body == nil {
			continue
		}
		doc := Document{Body: strings.Join(d.lines, "\n"), Digest: d.digest}
		for _, s := range c.Studies {
			if s.Name == studyName && s.Digest == d.digest {
				doc.Kind, doc.Name = "study", s.Name
			}
		}
		for _, s := range c.Sources {
			if s.doc == d && s.Study == studyName {
				doc.Kind, doc.Name = "source", s.Name
			}
		}
		if doc.Kind != "" {
			out = append(out, doc)
		}
	}
	return out
}
