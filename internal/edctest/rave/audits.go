package rave

import (
	"encoding/xml"
	"fmt"
	"strings"
	"time"
)

// Audit is one change that Rave recorded. What is left out is not in it; Value nil is
// an audit of something else than a value.
type Audit struct {
	Study         string // "" = the server's study
	Subcategory   string // "" = Entered
	Subject       string // UUID
	Name          string // label of the subject
	Site          string
	Event, Repeat string
	Form          string
	Group         string // "" = the form's own
	Line          string // repeat key of the group
	Item          string
	Value         *string
	Remove        bool   // of the innermost level that is named
	Inside        string // XML behind the audit record: a query, a comment
	Attributes    string // of the innermost level, as written
	User, Reason  string
	At            time.Time

	id int64
}

// Text is a value of an audit.
func Text(value string) *string { return &value }

// Record adds an audit and answers its id. Ids are of the whole server, so those of
// one study have gaps.
func (s *Server) Record(a Audit) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last += 1 + int64(len(s.audits)%3)
	a.id = s.last
	if a.Study == "" {
		a.Study = s.Study
	}
	if a.Subcategory == "" {
		a.Subcategory = "Entered"
	}
	if a.At.IsZero() {
		a.At = s.Now()
	}
	if a.User == "" {
		a.User = "defuser"
	}
	s.audits = append(s.audits, a)
	if !s.Lagging {
		s.built, s.rebuilt = len(s.audits), s.Now()
	}
	return a.id
}

// Rebuild brings the clinical views up to date.
func (s *Server) Rebuild() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.built, s.rebuilt = len(s.audits), s.Now()
}

// stamp is how Rave writes times: without a zone.
const stamp = "2006-01-02T15:04:05"

const spaces = `xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:mdsol="http://www.mdsol.com/ns/odm/metadata"`

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

// page writes audits as the dataset of clinical audit records does.
func (s *Server) page(audits []Audit) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<ODM ODMVersion="1.3" FileType="Transactional" FileOID="%08x-0000-4000-8000-000000000000" CreationDateTime="%s" %s>`,
		s.requests, s.Now().Format(stamp), spaces)
	for i := range audits {
		b.WriteString(audits[i].clinicalData())
	}
	b.WriteString("</ODM>")
	return []byte(b.String())
}

// clinicalData writes one audit: each level that it names, and the audit record in the
// innermost.
func (a *Audit) clinicalData() string {
	kind := "Upsert"
	if a.Remove {
		kind = "Remove"
	}
	own := attribute("TransactionType", kind) + a.Attributes
	record := `<AuditRecord><UserRef UserOID="` + escape(a.User) + `"/><LocationRef LocationOID="` + escape(a.Site) + `"/><DateTimeStamp>` + a.At.Format(stamp) +
		`</DateTimeStamp><ReasonForChange>` + escape(a.Reason) + `</ReasonForChange><SourceID>` + fmt.Sprint(a.id) + `</SourceID></AuditRecord>` + a.Inside
	type level struct{ element, attributes string }
	levels := []level{{"SubjectData", attribute("SubjectKey", a.Subject) + ` mdsol:SubjectKeyType="SubjectUUID"` + attribute("mdsol:SubjectName", a.Name)}}
	if a.Event != "" {
		levels = append(levels, level{"StudyEventData", attribute("StudyEventOID", a.Event) + attribute("StudyEventRepeatKey", a.Repeat)})
	}
	if a.Form != "" {
		levels = append(levels, level{"FormData", attribute("FormOID", a.Form) + ` FormRepeatKey="1"`})
	}
	if a.Form != "" && (a.Item != "" || a.Group != "") {
		group := a.Group
		if group == "" {
			group = a.Form
		}
		levels = append(levels, level{"ItemGroupData", attribute("ItemGroupOID", group) + attribute("ItemGroupRepeatKey", a.Line)})
	}
	if a.Item != "" {
		value := ""
		if a.Value != nil {
			value = ` Value="` + escape(*a.Value) + `"`
		}
		levels = append(levels, level{"ItemData", attribute("ItemOID", a.Item) + value})
	}
	site := `<SiteRef LocationOID="` + escape(a.Site) + `"/>`
	begin, end := "", ""
	for i, l := range levels {
		begin += "<" + l.element + l.attributes
		end = "</" + l.element + ">" + end
		inner := i == len(levels)-1
		if inner {
			begin += own + ">" + record
		} else {
			begin += ">"
		}
		if i == 0 { // behind the audit record of the subject, else first
			begin += site
		}
	}
	study := strings.TrimSuffix(a.Study, "(Prod)") // production goes without its environment
	return fmt.Sprintf(`<ClinicalData StudyOID="%s" MetaDataVersionOID="%s" mdsol:AuditSubCategoryName="%s">`, escape(study), crfVersion, escape(a.Subcategory)) + begin + end + "</ClinicalData>"
}

const crfVersion = "16"
