package openclinica

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Subject is one of the study, or of the site that it is enrolled at.
type Subject struct {
	Label       string // its OID is SS_ and this
	Site        string // OID; "" = the study itself
	Status      string // "" = available
	DateOfBirth string
	Events      []Event
}

// Event is a visit that took place, or will.
type Event struct {
	OID    string
	Repeat int    // ordinal; 0 = 1
	Start  string // as the service writes it: "2026-01-05 09:30:00.0"
	Status string // "" = completed
	Forms  []Form
}

// Form is a form by the OID of its version.
type Form struct {
	OID    string
	Status string // "" = data entry complete
	Items  []Item
}

// Item is a value, or why there is none.
type Item struct {
	Group string // "" = IG_ and the form's
	OID   string
	Value string
	Null  string // NASK …; "" = it has a value
}

// Put adds a subject, or takes the place of the one of that label.
func (s *Server) Put(one Subject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.subjects, func(known Subject) bool { return known.Label == one.Label }); i >= 0 {
		s.subjects[i] = one
		return
	}
	s.subjects = append(s.subjects, one)
}

// Delete has the study forget a subject.
func (s *Server) Delete(label string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subjects = slices.DeleteFunc(s.subjects, func(one Subject) bool { return one.Label == label })
}

// export answers what is asked for of study, subject, event and form; "" where it is
// none of the four combinations that the service knows, and known is false where the
// subject is none.
func (s *Server) export(parts []string, q url.Values, german bool) (body string, known bool) {
	of, who, event, form := parts[0], parts[1], parts[2], parts[3]
	if !s.sees(of) || who == "*" && (event != "*" || form != "*") || event == "*" && form != "*" {
		return "", true
	}
	w := &writer{audits: flag(q, "includeAudits"), german: german, form: form, turn: s.requests}
	w.event, w.repeat, _ = strings.Cut(strings.TrimSuffix(event, "]"), "[")
	bySite, found := map[string][]Subject{}, false
	for _, one := range s.subjects {
		site := one.Site
		if site == "" {
			site = s.Study
		}
		if mine := of == s.Study || of == site; mine && (who == "*" || who == one.Label || who == key(one)) {
			bySite[site], found = append(bySite[site], one), true
		}
	}
	if who != "*" && !found {
		return "", false
	}
	for site, subjects := range bySite { // the service keeps no order, either
		fmt.Fprintf(w, `<ClinicalData StudyOID="%s" MetaDataVersionOID="v1.0.0">`, escape(site))
		for i := range subjects {
			w.subject(&subjects[(i+w.turn)%len(subjects)])
		}
		w.WriteString("</ClinicalData>")
	}
	if s.Version == 4 && !flag(q, "includeMetadata") {
		return s.document(w.String()), true
	}
	return s.document(s.study() + w.String()), true
}

func key(one Subject) string { return "SS_" + strings.ToUpper(one.Label) }

func (s *Server) study() string {
	return `<Study OID="` + escape(s.Study) + `">` + s.Metadata + `</Study>`
}

func (s *Server) document(inside string) string {
	now := s.Now()
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<ODM FileOID="%sD%s" Description="%s" CreationDateTime="%s" FileType="Snapshot" ODMVersion="1.3" xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1">%s</ODM>
`, escape(s.Study), now.Format("20060102150405"), escape(s.Study), now.Format("2006-01-02T15:04:05.000-07:00"), inside)
}

// writer writes clinical data.
type writer struct {
	strings.Builder
	audits, german      bool
	event, repeat, form string // what is asked for
	turn                int    // groups come in another order each time
}

// german are the words of the service in another language.
var german = map[string]string{"available": "verfügbar", "removed": "entfernt", "completed": "abgeschlossen", "data entry complete": "Dateneingabe abgeschlossen", "invalid": "ungültig"}

func (w *writer) status(given, otherwise string) string {
	if given == "" {
		given = otherwise
	}
	if w.german && german[given] != "" {
		given = german[given]
	}
	return attribute("OpenClinica:Status", given)
}

func (w *writer) subject(one *Subject) {
	fmt.Fprintf(w, `<SubjectData SubjectKey="%s"%s%s%s OpenClinica:EnrollmentDate="null">`, escape(key(*one)), attribute("OpenClinica:StudySubjectID", one.Label),
		w.status(one.Status, "available"), attribute("OpenClinica:DateOfBirth", one.DateOfBirth))
	for i := range one.Events {
		e := &one.Events[i]
		repeat := fmt.Sprint(max(e.Repeat, 1))
		if w.event != "*" && w.event != e.OID || w.repeat != "" && w.repeat != repeat {
			continue
		}
		fmt.Fprintf(w, `<StudyEventData StudyEventOID="%s"%s%s StudyEventRepeatKey="%s">`, escape(e.OID), attribute("OpenClinica:StartDate", e.Start), w.status(e.Status, "completed"), repeat)
		for j := range e.Forms {
			if w.form == "*" || w.form == e.Forms[j].OID {
				w.formData(&e.Forms[j])
			}
		}
		w.WriteString("</StudyEventData>")
	}
	if w.audits { // the type is written as it is
		fmt.Fprintf(w, `<OpenClinica:AuditLogs EntityID="%s"><OpenClinica:AuditLog ID="AL_1" AuditType="removed & restored"/></OpenClinica:AuditLogs>`, escape(key(*one)))
	}
	w.WriteString("</SubjectData>")
}

func (w *writer) formData(f *Form) {
	fmt.Fprintf(w, `<FormData FormOID="%s"%s>`, escape(f.OID), w.status(f.Status, "data entry complete"))
	var groups []string
	for _, item := range f.Items {
		if g := group(f, item); !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	for i := range groups {
		g := groups[(i+w.turn)%len(groups)]
		fmt.Fprintf(w, `<ItemGroupData ItemGroupOID="%s" ItemGroupRepeatKey="1" TransactionType="Insert">`, escape(g))
		for _, item := range f.Items {
			if group(f, item) != g {
				continue
			}
			fmt.Fprintf(w, `<ItemData ItemOID="%s"%s`, escape(item.OID), attribute("Value", item.Value))
			if item.Null != "" {
				fmt.Fprintf(w, ` IsNull="Yes" OpenClinica:ReasonForNull="%s"`, escape(item.Null))
			}
			w.WriteString("/>")
		}
		w.WriteString("</ItemGroupData>")
	}
	w.WriteString("</FormData>")
}

func group(f *Form, item Item) string {
	if item.Group == "" {
		return "IG_" + f.OID
	}
	return item.Group
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // writing to memory never fails
	return b.String()
}

// attribute writes an attribute unless it has no value.
func attribute(name, value string) string {
	if value == "" {
		return ""
	}
	return " " + name + `="` + escape(value) + `"`
}
