// Package datasetjson reads CDISC Dataset-JSON 1.1: one data set with its
// metadata, as one JSON object or as lines (NDJSON: the metadata first, then an
// array for each row).
//
// Values are what is written: a number keeps its digits and never passes through
// a float. A row that cannot be read is broken and keeps its bytes; what is wrong
// with the metadata, or with what is around rows, is an error. Memory is bounded
// by one buffer whatever the object's size.
package datasetjson
