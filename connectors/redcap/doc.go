// Package redcap pulls the records of a REDCap project through its API: first the
// identifiers, then the records in batches that fit the server, each with all its
// events and instances. Later pulls ask for what has changed since, and every pull
// ends with the list of all records, so that what was deleted or renamed is known.
package redcap
