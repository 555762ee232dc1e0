package rave

import (
	"encoding/csv"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is a record of a clinical view: what its audits come to.
type row struct {
	subject, name, site, event, repeat, form, line string

	values  map[string]string // by item
	updated time.Time
	active  bool
}

// rows are the records of the views as they were built last, of all forms or of one,
// that were updated since.
func (s *Server) rows(form string, since time.Time) (out []row) {
	at, names := map[string]int{}, map[string]string{}
	for i := range s.audits[:s.built] {
		a := &s.audits[i]
		if a.Study != s.Study {
			continue
		}
		if a.Name != "" {
			names[a.Subject] = a.Name
		}
		if a.Form == "" || form != "" && a.Form != form {
			continue
		}
		key := strings.Join([]string{a.Subject, a.Event, a.Repeat, a.Form, a.Line}, "\x00")
		k, known := at[key]
		if !known {
			k, at[key] = len(out), len(out)
			out = append(out, row{subject: a.Subject, site: a.Site, event: a.Event, repeat: a.Repeat, form: a.Form, line: a.Line, values: map[string]string{}})
		}
		r := &out[k]
		r.updated, r.active = a.At, !a.Remove || a.Item != ""
		switch {
		case a.Remove && a.Item != "":
			delete(r.values, a.Item)
		case a.Item != "" && a.Value != nil:
			r.values[a.Item] = *a.Value
		}
	}
	for i := range out {
		out[i].name = names[out[i].subject]
	}
	return slices.DeleteFunc(out, func(r row) bool { return r.updated.Before(since) })
}

// items are the items of rows, sorted.
func items(rows []row) []string {
	all := map[string]bool{}
	for _, r := range rows {
		for item := range r.values {
			all[item] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// instance is a folder's repeat as views number it.
func (r *row) instance() string {
	if _, number, ok := strings.Cut(strings.TrimSuffix(r.repeat, "]"), "["); ok {
		return number
	}
	return "1"
}

// viewCSV is one view as CSV: quoted, with a last line that says that it is whole.
func (s *Server) viewCSV(form string, since time.Time, ended bool) []byte {
	rows := s.rows(form, since)
	var b strings.Builder
	w := csv.NewWriter(&b)
	fields := items(rows)
	header := strings.Fields("project environmentName subjectId Subject SiteNumber instanceId Folder InstanceRepeatNumber DataPageName PageRepeatNumber RecordId recordposition RecordActive MinCreated MaxUpdated")
	for _, item := range fields {
		_, name, _ := strings.Cut(item, ".")
		header = append(header, name, name+"_RAW")
	}
	if len(rows) > 0 {
		_ = w.Write(header) // to memory
	}
	for i, r := range rows {
		active := "1"
		if !r.active {
			active = "0"
		}
		position := r.line
		if position == "" {
			position = "0"
		}
		cells := []string{strings.Split(s.Study, "(")[0], strings.Trim(strings.TrimPrefix(s.Study, strings.Split(s.Study, "(")[0]), "()"), r.subject, r.name, r.site,
			r.event + r.repeat, r.event, r.instance(), r.form, "0", strconv.Itoa(i + 1), position, active, r.updated.Format(stamp), r.updated.Format(stamp)}
		for _, item := range fields {
			cells = append(cells, r.values[item], r.values[item])
		}
		_ = w.Write(cells)
	}
	w.Flush()
	if ended {
		b.WriteString("EOF\r\n")
	}
	return []byte(b.String())
}

// viewODM is all views, or one, as ODM: a snapshot with a byte order mark and without
// line ends, the rows of each subject by themselves.
func (s *Server) viewODM(form string, since time.Time) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><ODM ODMVersion=\"1.3\" FileType=\"Snapshot\" FileOID=\"%08x-0000-4000-8000-000000000001\" CreationDateTime=\"%s-00:00\" %s>",
		s.requests, s.Now().Format(stamp), spaces)
	for _, r := range s.rows(form, since) {
		if !r.active {
			continue
		}
		fmt.Fprintf(&b, `<ClinicalData StudyOID="%s" MetaDataVersionOID="%s"><SubjectData SubjectKey="%s"><SiteRef LocationOID="%s"/><StudyEventData StudyEventOID="%s" StudyEventRepeatKey="%s"><FormData FormOID="%s" FormRepeatKey="1"><ItemGroupData ItemGroupOID="%s_LOG_LINE"%s>`,
			escape(s.Study), crfVersion, escape(r.name), escape(r.site), escape(r.event), r.instance(), escape(r.form), escape(r.form), attribute("ItemGroupRepeatKey", r.line))
		for _, item := range slices.Sorted(maps.Keys(r.values)) {
			fmt.Fprintf(&b, `<ItemData ItemOID="%s" Value="%s"/>`, escape(item), escape(r.values[item]))
		}
		b.WriteString(`</ItemGroupData></FormData></StudyEventData></SubjectData></ClinicalData>`)
	}
	b.WriteString(`</ODM>`)
	return []byte(b.String())
}

// subjects is the list of subjects, by UUID or by label.
func (s *Server) subjects(byUUID bool) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?><ODM FileType="Snapshot" FileOID="%08x-0000-4000-8000-000000000002" CreationDateTime="%s" ODMVersion="1.3" %s>`,
		s.requests, s.Now().Format(stamp), spaces)
	names, sites, order := map[string]string{}, map[string]string{}, []string(nil)
	for _, a := range s.audits {
		if a.Study != s.Study || a.Subject == "" {
			continue
		}
		if _, known := names[a.Subject]; !known {
			order = append(order, a.Subject)
		}
		if sites[a.Subject] = a.Site; a.Name != "" || names[a.Subject] == "" {
			names[a.Subject] = a.Name
		}
	}
	for _, uuid := range order {
		key := `SubjectKey="` + escape(names[uuid]) + `"`
		if byUUID {
			key = `SubjectKey="` + escape(uuid) + `" mdsol:SubjectKeyType="SubjectUUID" mdsol:SubjectName="` + escape(names[uuid]) + `"`
		}
		fmt.Fprintf(&b, `<ClinicalData StudyOID="%s" MetaDataVersionOID="%s"><SubjectData %s mdsol:SubjectActive="Yes" mdsol:Deleted="No"><SiteRef LocationOID="%s"/></SubjectData></ClinicalData>`,
			escape(s.Study), crfVersion, key, escape(sites[uuid]))
	}
	b.WriteString(`</ODM>`)
	return []byte(b.String())
}
