package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"longitude/study"
)

// sourceTraits puts a source into words. Whoever adds something to study.Source
// says here what a change of it does.
func sourceTraits(s *study.Source) traits {
	var t traits
	t.value("source", "name of the source", s.Name, Destructive)
	t.value("study", "study", s.Study, Destructive)
	t.value("connector.type", "connector", s.Connector, NoEffect)
	t.value("schedule.cron", "schedule", s.Schedule.Cron, NoEffect)
	t.value("schedule.timezone", "time zone of the schedule", s.Schedule.Timezone, NoEffect)
	t.value("schedule.jitter", "jitter", s.Schedule.Jitter.String(), NoEffect)
	t.value("schedule.catch_up", "catching up", s.Schedule.CatchUp, NoEffect)
	t.value("retry.attempts", "attempts", strconv.Itoa(s.Retry.Attempts), NoEffect)
	t.value("retry.initial", "first wait between attempts", s.Retry.Initial.String(), NoEffect)
	t.value("retry.max", "longest wait between attempts", s.Retry.Max.String(), NoEffect)
	t.format(&s.Format)
	t.weighed("snapshot", "what absence means", s.Snapshot.Kind, nil, func(_, new trait) Class {
		if new.value == study.Incremental {
			return NoEffect
		}
		return Destructive
	})
	t.value("max_removed", "share of records that may vanish at once", shareText(s.Snapshot.MaxRemoved), NoEffect)
	t.value("max_rejected", "rows refused before a run stops", limitText(s.MaxRejected), NoEffect)
	t.value("precedence", "precedence among sources that disagree", strconv.Itoa(int(s.Precedence)), NoEffect)
	t.value("drift.new_column", "policy for new columns", string(s.Drift.NewColumn), NoEffect)
	t.value("drift.missing_column", "policy for missing columns", string(s.Drift.MissingColumn), NoEffect)
	t.value("drift.type_change", "policy for changed types", string(s.Drift.TypeChange), NoEffect)
	t.mapping(&s.Map)
	return t
}

// shareText writes a share as the document does.
func shareText(share float64) string {
	return strconv.FormatFloat(share*100, 'f', -1, 64) + "%"
}

func limitText(l study.Limit) string {
	var words []string
	if l.Count != 0 {
		words = append(words, strconv.FormatInt(l.Count, 10))
	}
	if l.Share != 0 {
		words = append(words, shareText(l.Share))
	}
	return strings.Join(words, " or ")
}

func (t *traits) format(f *study.FormatSpec) {
	for _, key := range []struct{ key, subject, value string }{
		{"type", "format", f.Type},
		{"delimiter", "delimiter", quoted(f.Delimiter)},
		{"quote", "quote", f.Quote},
		{"escape", "escape", f.Escape},
		{"comment", "beginning of comments", f.Comment},
		{"skip_lines", "lines before the header", strconv.Itoa(f.SkipLines)},
		{"encoding", "encoding", f.Encoding},
		{"header", "header line", strconv.FormatBool(f.Header)},
		{"names", "names of the columns", strings.Join(f.Names, ", ")},
		{"decimal_mark", "decimal mark", f.DecimalMark},
		{"table", "table", f.Table},
		{"records", "place of the records", f.Records},
	} {
		t.value("format."+key.key, key.subject, key.value, Replay)
	}
}

// quoted shows what may be a space or a tab.
func quoted(text string) string {
	if text == "" {
		return ""
	}
	return strconv.Quote(text)
}

func (t *traits) mapping(m *study.Mapping) {
	// The first of these say who and which record a row is about.
	t.value("map.participant", "participant", pickText(m.Participant), Destructive)
	t.value("map.participant.namespace", "namespace of the identifiers", m.Namespace, Destructive)
	t.value("map.visit.repeat", "what tells visits of one name apart", pickText(m.VisitRepeat), Destructive)
	t.weighed("map.visit_day", "day of the visit", pickText(m.VisitDay), nil, func(old, new trait) Class {
		if old.value == "" || new.value == "" {
			return Destructive // dates cannot be compared with days
		}
		return Replay
	})
	t.value("map.visit.by", "how visits are found", m.VisitBy, Replay)
	t.value("map.visit.aliases", "words for visits", words(m.VisitAliases), Replay)
	for _, p := range []struct {
		key, subject string
		pick         study.Pick
	}{
		{"site", "site", m.Site}, {"visit", "visit", m.Visit}, {"visit_date", "date of the visit", m.VisitDate},
		{"planned_date", "planned date", m.Planned}, {"baseline_date", "declared baseline date", m.BaselineDate},
		{"reason", "reason", m.Reason}, {"modified", "time of modification", m.Modified}, {"entered", "day of first entry", m.Entered},
		{"author", "author", m.Author}, {"withdrawal", "day of withdrawal", m.Withdrawn}, {"status", "status", m.Status},
		{"status_date", "day of the status", m.StatusDate}, {"change_reason", "reason of a change", m.ChangeReason},
	} {
		t.value("map."+p.key, p.subject, pickText(p.pick), Replay)
	}
	t.value("map.deleted", "what says that a record was removed", whenText(m.Deleted, m.DeletedValues), Replay)
	for i := range m.Forms {
		t.formMapping(&m.Forms[i])
	}
}

func (t *traits) formMapping(f *study.FormMapping) {
	path := "map.forms." + f.Form
	t.thing(path, "mapping of form "+f.Form, Replay, Replay)
	t.value(path+".occurrence", "what tells records of "+f.Form+" apart", pickText(f.Occurrence), Destructive)
	t.value(path+".when", "rows that feed "+f.Form, whenText(f.When, f.WhenValues), Replay)
	t.value(path+".pivot.code", "code of the rows of "+f.Form, pickText(f.Pivot.Code), Replay)
	t.value(path+".pivot.value", "value of the rows of "+f.Form, pickText(f.Pivot.Value), Replay)
	for _, m := range f.Fields {
		at, name := path+".fields."+m.Field, f.Form+"."+m.Field
		t.thing(at, "mapping of "+name, Replay, Replay)
		t.value(at+".pick", "what feeds "+name, pickText(m.Pick), Replay)
	}
}

// pickText is a pick as the document would say it; "" where nothing is mapped.
func pickText(p study.Pick) string {
	var keys []string
	say := func(key, value string) {
		if value != "" {
			keys = append(keys, key+": "+value)
		}
	}
	say("column", p.Column)
	if p.Const || p.Value != "" {
		say(map[bool]string{true: "value", false: "unused value"}[p.Const], strconv.Quote(p.Value))
	}
	say("expr", p.Expr)
	say("code", p.Code)
	if p.Trim {
		say("trim", "true")
	}
	say("unit", p.Unit)
	say("format", quoted(p.Format))
	say("scale", p.Scale)
	say("values", words(p.Values))
	say("missing", words(p.Missing))
	if len(keys) == 0 {
		return ""
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

func whenText(p study.Pick, values []string) string {
	text := pickText(p)
	if len(values) > 0 {
		text = fmt.Sprintf("%s in %q", text, slices.Sorted(slices.Values(values)))
	}
	return text
}

func words(m map[string]string) string {
	if len(m) == 0 {
		return ""
	}
	var list []string
	for from, to := range m {
		list = append(list, strconv.Quote(from)+": "+to)
	}
	return "{" + sorted(list) + "}"
}
