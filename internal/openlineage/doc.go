// Package openlineage tells other systems of runs: one START and one terminal
// OpenLineage RunEvent for each, with the datasets they read and wrote and how
// columns came about. Our own lineage in the database is the record; this is an
// export of it.
//
// Nothing in an event is about a person: datasets are named by study, source, form
// and release, never by file; fields by their names; failures by the text of our
// own errors, which quotes no input.
package openlineage
