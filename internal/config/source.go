package config

import (
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"longitude/study"
)

// buildSource turns a source document into a source. What it says about a study
// is checked by fits, once every study is known.
func (d *document) buildSource(opt Options) *SourceConfig {
	var doc sourceDoc
	d.read("", d.body, &doc)
	c := &SourceConfig{File: d.file, Line: d.place("source").line, doc: d}
	c.Name, c.Study, c.Connector, c.Digest = doc.Source, doc.Study, doc.Connector.Type, d.digest
	d.need("source", doc.Source)
	d.named("source", "source", doc.Source, dashed)
	d.need("study", doc.Study)
	c.ConnectorConfig = d.connector(doc.Connector, opt)
	c.Schedule = study.Schedule{Cron: d.cron("schedule.cron", doc.Schedule.Cron), Timezone: d.zone("schedule.timezone", doc.Schedule.Timezone),
		Jitter: doc.Schedule.Jitter, CatchUp: d.oneOfOr("schedule.catch_up", doc.Schedule.CatchUp, "latest", "latest", "all", "skip")}
	if d.has("schedule") {
		d.need("schedule.cron", doc.Schedule.Cron)
	}
	c.Retry = d.retry(&doc)
	c.Format = d.format(&doc, opt)
	c.Snapshot = d.snapshotPolicy(&doc)
	c.Drift = d.driftPolicy(&doc)
	c.MaxRejected, c.Precedence = study.Limit(doc.MaxRejected), doc.Precedence
	if t, ok := c.ConnectorConfig.(interface{ Triggers() string }); ok {
		c.Pulls = t.Triggers()
	}
	if c.Pulls != "" {
		if d.has("map") {
			d.warnf("map", "config.no_effect", "remove it", "map has no effect: what is sent only says that %s has something new", c.Pulls)
		}
		return c
	}
	c.Map = d.rowMapping(&doc.Map)
	d.noEffect("map.consent")
	return c
}

func (d *document) snapshotPolicy(doc *sourceDoc) study.Snapshot {
	s := study.Snapshot{Kind: d.oneOfOr("snapshot", doc.Snapshot, study.Incremental, study.Incremental, study.Complete, study.CompleteByName), MaxRemoved: 0.05}
	if doc.MaxRemoved == nil || d.failed("max_removed") {
		return s
	}
	if s.MaxRemoved = float64(*doc.MaxRemoved); s.Kind == study.Incremental && !d.failed("snapshot") {
		d.warnf("max_removed", "config.no_effect", "leave it out, or add snapshot: complete if each delivery holds everything", "max_removed has an effect only if the connector itself tells who is gone: absence from an object of an incremental source removes nothing")
	}
	return s
}

func (d *document) driftPolicy(doc *sourceDoc) study.DriftPolicy {
	action := func(key, written string, missing study.DriftAction) study.DriftAction {
		return study.DriftAction(d.oneOfOr("drift."+key, written, string(missing), "evolve", "quarantine", "freeze"))
	}
	return study.DriftPolicy{
		NewColumn:     action("new_column", doc.Drift.NewColumn, study.Evolve),
		MissingColumn: action("missing_column", doc.Drift.MissingColumn, study.QuarantineDrift),
		TypeChange:    action("type_change", doc.Drift.TypeChange, study.QuarantineDrift),
	}
}

// connector decodes the connector's own keys into its config struct.
func (d *document) connector(doc connectorDoc, opt Options) any {
	if !d.need("connector.type", doc.Type) || opt.Connectors == nil {
		return nil
	}
	spec, known := opt.Connectors[doc.Type]
	if !known {
		d.errorf("connector.type", "config.unknown_value", didYouMean(doc.Type, slices.Sorted(maps.Keys(opt.Connectors))), "there is no connector %q", doc.Type)
		return nil
	}
	return d.own("connector", "config.connector", doc.keys, spec)
}

func (d *document) retry(doc *sourceDoc) study.Retry {
	r := study.Retry{Attempts: 5, Initial: 2 * time.Second, Max: 5 * time.Minute}
	if doc.Retry.Attempts != nil {
		if r.Attempts = *doc.Retry.Attempts; r.Attempts < 1 {
			d.errorf("retry.attempts", "config.wrong_type", "1 means no retry", "attempts counts the first one too")
		}
	}
	if doc.Retry.Initial != nil {
		r.Initial = *doc.Retry.Initial
	}
	if doc.Retry.Max != nil {
		r.Max = *doc.Retry.Max
	}
	return r
}

func (d *document) format(doc *sourceDoc, opt Options) study.FormatSpec {
	in := &doc.Format
	f := study.FormatSpec{Type: or(in.Type, "csv"), Escape: in.Escape, Comment: in.Comment, SkipLines: in.SkipLines,
		Encoding: or(in.Encoding, "auto"), Header: true, Names: in.Names, Table: in.Table, Records: in.Records,
		DecimalMark: d.oneOfOr("format.decimal_mark", in.DecimalMark, ".", ".", ",")}
	if in.Header != nil {
		f.Header = *in.Header
	}
	if f.Type == "csv" {
		f.Delimiter = ","
	}
	if in.Delimiter != nil {
		if f.Delimiter = *in.Delimiter; utf8.RuneCountInString(f.Delimiter) != 1 {
			d.errorf("format.delimiter", "config.format", `";" or, for a tab, "\t"`, "a delimiter is one character")
			return f
		}
	}
	if in.Quote != nil {
		if f.Quote = *in.Quote; f.Quote == "" {
			d.errorf("format.quote", "config.format", "quote: none, for files in which quotes mean nothing", "a quote is one character")
			return f
		}
	}
	if f.SkipLines < 0 {
		d.errorf("format.skip_lines", "config.format", "", "skip_lines cannot be negative")
	}
	if len(f.Names) > 0 && f.Header {
		d.errorf("format.names", "config.format", "add header: false, or leave names out", "names are for files whose first line does not name the columns")
	}
	for i, name := range f.Names {
		if slices.Index(f.Names, name) < i {
			d.errorf(fmt.Sprintf("format.names[%d]", i), "config.duplicate_name", "", "two columns are named %q", name)
		}
	}
	if opt.Formats == nil {
		return f
	}
	check, known := opt.Formats[f.Type]
	if !known {
		d.errorf("format.type", "config.unknown_value", didYouMean(f.Type, slices.Sorted(maps.Keys(opt.Formats))), "there is no format %q", f.Type)
		return f
	}
	problems := check(f)
	for _, key := range slices.Sorted(maps.Keys(problems)) {
		if d.failed("format." + key) {
			continue
		}
		d.errorf("format."+key, "config.format", "", "%s: %s", key, problems[key])
	}
	return f
}
