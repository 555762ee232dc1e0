// Package fhir pulls from a FHIR R4 server: by bulk export (HL7 Bulk Data Access),
// or by searches page by page. A file of an export, or a page, is one delivery, its
// bytes as the server sent them. Of a page it reads where the next one is and how
// many resources it has; of a file, that it came whole.
//
// The address of an export that the server prepares is in the cursor before it is
// waited for, so that a run that dies while it waits goes on with the same export.
package fhir
