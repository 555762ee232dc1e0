// Package fhir decodes FHIR R4 resources: newline-delimited as bulk exports write
// them, and bundles of any type.
//
// A row is one resource, or one answer where the mapping wants a long table. Rows
// have no fixed columns: the mapping names elements by a small part of FHIRPath,
// that of SQL on FHIR views and resolve(), and what is around them by a name with
// an "@". References are followed inside one bundle and inside one resource.
//
// What is not one value (two codings, an address) breaks the row instead of being
// guessed. Numbers keep the digits they were written with. Memory is bounded by one
// resource of maxRow bytes and, where references are followed, by a bundle of
// maxBundle bytes.
package fhir
