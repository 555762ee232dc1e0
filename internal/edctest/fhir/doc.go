// Package fhir is a FHIR R4 server for tests and the demo: bulk export of the
// system, of all patients and of a group (HL7 Bulk Data Access 2), paged searches,
// and the three ways in: a bearer token, a password, SMART Backend Services.
//
// It is written from the specifications. Its faults are switched on one by one.
package fhir
