package release

import "strconv"

// VisitKey is the internal id of a visit, of which door 2 makes the released one.
func VisitKey(participant string, visit int32) string {
	return participant + "/" + strconv.Itoa(int(visit))
}

// RecordKey is the internal id of a record, of which door 2 makes the released one.
func RecordKey(participant string, visit int32, form, occurrence string) string {
	return VisitKey(participant, visit) + "/" + form + "/" + occurrence
}
