package redcap

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Project is one REDCap project and its records. What is exported is set before the
// first request.
type Project struct {
	ID           int
	Title        string
	Fields       []Field // the dictionary; the first is the record identifier
	Forms        []Form
	Surveys      []string // forms that are surveys
	Arms         []Arm
	Events       []Event // none: a classic project
	Mappings     []Mapping
	Repeats      []Repeat
	Groups       []Group
	MissingCodes string         // as the project says it: "UNK, Unknown | NASK, Not asked"
	Scheduling   bool           // events have offsets
	Zone         *time.Location // of the server; nil = UTC
	Now          func() time.Time

	mu      sync.Mutex
	records map[string]*record
	log     []entry // oldest first
}

// Field is a row of the data dictionary.
type Field struct {
	Name, Form, Section, Type, Label, Choices, Note, Validation, Min, Max, Identifier,
	Branching, Required, Alignment, Question, Matrix, Ranking, Annotation string
}

// Form is an instrument.
type Form struct{ Name, Label string }

// Arm is a group of events.
type Arm struct {
	Num  int
	Name string
}

// Event is one event of an arm.
type Event struct {
	Name, Unique, Label             string
	Arm, ID                         int
	DayOffset, OffsetMin, OffsetMax int
}

// Mapping says that a form is expected at an event.
type Mapping struct {
	Arm         int
	Event, Form string
}

// Repeat says that a form repeats at an event, or that a whole event does. Event is
// empty in a classic project.
type Repeat struct{ Event, Form, Label string }

// Group is a data access group.
type Group struct {
	Name, Unique string
	ID           int
}

// Row is one row of a record: an event, or an instance of a repeating form or event.
type Row struct {
	Event, Instrument string
	Instance          int
	Values            map[string]string // by name of the export column; blank ones left out
}

type record struct {
	id, group string
	rows      []*Row
	modified  time.Time
}

type entry struct {
	at                              time.Time
	user, action, details, ofRecord string
}

func (p *Project) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}

func (p *Project) zone() *time.Location {
	if p.Zone == nil {
		return time.UTC
	}
	return p.Zone
}

// Put saves values of a row, as its save button does: a blank value is cleared. A
// row without values is gone.
func (p *Project) Put(id, group string, row Row) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.records == nil {
		p.records = map[string]*record{}
	}
	r, action := p.records[id], "Update record "
	if r == nil {
		r, action = &record{id: id}, "Create record "
		p.records[id] = r
	}
	if group != "" {
		r.group = group
	}
	to := r.row(row)
	for name, value := range row.Values {
		if to.Values[name] = value; value == "" {
			delete(to.Values, name)
		}
	}
	p.written(r, action)
}

// row is the row of the record with the same key, made where there is none.
func (r *record) row(like Row) *Row {
	for _, row := range r.rows {
		if row.Event == like.Event && row.Instrument == like.Instrument && row.Instance == like.Instance {
			return row
		}
	}
	row := &Row{Event: like.Event, Instrument: like.Instrument, Instance: like.Instance, Values: map[string]string{}}
	r.rows = append(r.rows, row)
	return row
}

// DeleteRow deletes one row of a record: an event's data, or an instance.
func (p *Project) DeleteRow(id string, like Row) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.records[id]
	r.rows = slices.DeleteFunc(r.rows, func(row *Row) bool {
		return row.Event == like.Event && row.Instrument == like.Instrument && row.Instance == like.Instance
	})
	p.written(r, "Update record ")
}

// Delete deletes a record. Only the log tells of it.
func (p *Project) Delete(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.records, id)
	p.note("Delete record "+id, p.Fields[0].Name+" = '"+id+"'", id)
}

// Rename gives a record another identifier.
func (p *Project) Rename(id, to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.records[id]
	delete(p.records, id)
	r.id = to
	p.records[to] = r
	p.written(r, "Update record ")
}

func (p *Project) written(r *record, action string) {
	r.modified = p.now()
	details := make([]string, 0, 1)
	for _, row := range r.rows {
		for _, name := range slices.Sorted(maps.Keys(row.Values)) {
			details = append(details, name+" = '"+row.Values[name]+"'")
		}
	}
	p.note(action+r.id, strings.Join(details, ", "), r.id)
}

func (p *Project) note(action, details, id string) {
	p.log = append(p.log, entry{at: p.now(), user: "coordinator", action: action, details: details, ofRecord: id})
}

// Ids are the identifiers of all records.
func (p *Project) Ids() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.records))
}

// sorted are the records in the order of export: numbers by value, other text behind.
func (p *Project) sorted() []*record {
	return slices.SortedFunc(maps.Values(p.records), func(a, b *record) int {
		x, errX := strconv.Atoi(a.id)
		y, errY := strconv.Atoi(b.id)
		switch {
		case errX == nil && errY == nil:
			return cmp.Compare(x, y)
		case (errX == nil) != (errY == nil):
			return map[bool]int{true: -1, false: 1}[errX == nil]
		}
		return cmp.Compare(a.id, b.id)
	})
}

// ordered are the rows of a record in the order of export: by event, then the row of
// the event itself, then instruments and instances.
func (p *Project) ordered(r *record) []*Row {
	place := func(row *Row) (event, form int) {
		return slices.IndexFunc(p.Events, func(e Event) bool { return e.Unique == row.Event }),
			slices.IndexFunc(p.Forms, func(f Form) bool { return f.Name == row.Instrument })
	}
	return slices.SortedStableFunc(slices.Values(r.rows), func(a, b *Row) int {
		eventA, formA := place(a)
		eventB, formB := place(b)
		return cmp.Or(cmp.Compare(eventA, eventB), cmp.Compare(formA, formB), cmp.Compare(a.Instance, b.Instance))
	})
}

func (p *Project) longitudinal() bool { return len(p.Events) > 0 }

// repeats reports whether a form repeats at an event; form "" asks for the event.
func (p *Project) repeats(event, form string) bool {
	return slices.ContainsFunc(p.Repeats, func(r Repeat) bool { return r.Event == event && r.Form == form })
}

// belongs reports whether the form is one of the row.
func (p *Project) belongs(form string, row *Row) bool {
	if row.Instrument != "" {
		return form == row.Instrument
	}
	mapped := !p.longitudinal() || slices.ContainsFunc(p.Mappings, func(m Mapping) bool { return m.Event == row.Event && m.Form == form })
	return mapped && !p.repeats(row.Event, form)
}

// field is a field of the dictionary by its name.
func (p *Project) field(name string) *Field {
	if i := slices.IndexFunc(p.Fields, func(f Field) bool { return f.Name == name }); i >= 0 {
		return &p.Fields[i]
	}
	return nil
}

// code is a code of a choice or of missing data, and its label.
type code struct{ code, label string }

// codesOf splits "1, Label | 2, Label, with comma".
func codesOf(text string) (codes []code) {
	for part := range strings.SplitSeq(text, "|") {
		of, label, _ := strings.Cut(part, ",")
		if of = strings.TrimSpace(of); of != "" {
			codes = append(codes, code{of, strings.TrimSpace(label)})
		}
	}
	return codes
}

// box is the export column of a checkbox's code: every character that is neither
// letter nor digit becomes an underscore.
func box(field, code string) string {
	return field + "___" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(code))
}

// nextRecord is what the next record would be called.
func (p *Project) nextRecord() string {
	last := 0
	for id := range p.records {
		if n, err := strconv.Atoi(id); err == nil {
			last = max(last, n)
		}
	}
	return fmt.Sprint(last + 1)
}
