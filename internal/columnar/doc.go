// Package columnar turns batches into Parquet and reads Parquet back. It is the
// one place that knows parquet-go and arrow.
//
// Files are written by parquet-go's column writers with explicit definition
// levels, because its struct and map paths write a Go zero in an optional
// column as NULL: logMAR 0.0 is 20/20 vision, not a missing value. They are
// read back by a different library, arrow, before anybody relies on them.
//
// The same rows give the same bytes, whatever the batches they came in, the
// number of processors and the time of day.
package columnar
