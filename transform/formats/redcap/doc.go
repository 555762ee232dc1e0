// Package redcap reads the records that REDCap exports as JSON, a row for each event
// and instance of a record. A row has every column of the project, so a column that
// is missing from an object was taken away: it does not read as empty.
//
// It also describes a project, from its dictionary, events and offsets.
package redcap
