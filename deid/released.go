package deid

// VisitID is the released id of a visit, of its internal id.
func (r *Recipient) VisitID(key string) string { return r.other('V', key) }

// RecordID is the released id of a record, of its internal id.
func (r *Recipient) RecordID(key string) string { return r.other('R', key) }
