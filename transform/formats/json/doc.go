// Package json decodes JSON documents and newline-delimited JSON. A row is one
// JSON object; it has no fixed columns, so the mapping says which members it
// wants, by name or by JSON pointer (RFC 6901), and gets exactly those.
//
// It is strict where guessing would change data: a member that occurs twice, a
// list where one value is wanted, half a surrogate pair break the row, which
// keeps its bytes. Numbers keep the digits they were written with; they never
// pass through a float. Memory is bounded by one buffer of maxRow bytes whatever
// the object's size.
package json
