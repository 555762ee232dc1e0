package odm

import (
	"slices"
	"time"
)

// audit is who changed something, when and why.
type audit struct {
	values [5]string // as auditNames
	at     time.Time // zero where it cannot be read
	said   bool
}

// stamps are the ways in which instants are written, with and without a zone.
var stamps = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04"}

// consider takes over a later audit; where the times cannot be compared, the one
// that was read later.
func (a *audit) consider(than *audit) {
	earlier := a.said && !a.at.IsZero() && !than.at.IsZero() && than.at.Before(a.at)
	if than.said && !earlier {
		*a = *than
	}
}

// add takes in text of one of its parts.
func (a *audit) add(part string, raw []byte, kind kindOfText) {
	i := slices.Index(auditNames, part)
	if i < 0 {
		return
	}
	text, rule := appendText([]byte(a.values[i]), raw, kind)
	if a.said = true; rule == "" && unreadable(raw) == "" {
		a.values[i] = string(text)
	}
}

func (d *decoder) auditAttribute(name string) {
	if value, ok := d.value(name); ok {
		d.audit.add(name, value, inAttribute)
	}
}

func (d *decoder) openAuditPart() {
	if d.part = string(d.name); d.part == "UserRef" {
		d.auditAttribute("UserOID")
	}
}

// closeAudit ends the audit record of the element at that index of the path.
func (d *decoder) closeAudit(of int) {
	for _, layout := range stamps {
		if at, err := time.Parse(layout, d.audit.values[0]); err == nil {
			d.audit.at = at
			break
		}
	}
	if n := len(d.rowsIn); n > 0 {
		d.rowsIn[n-1].audit.consider(&d.audit)
		return
	}
	d.path[of].audit.consider(&d.audit)
}
