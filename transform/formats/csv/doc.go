// Package csv decodes delimited text: RFC 4180 and the dialects studies really
// deliver (other delimiters, CR or LF line ends, Windows and UTF-16 encodings).
//
// It is strict where guessing would change data: a row that does not split is
// broken and keeps its bytes, an encoding that cannot be told is an error with a
// hint. Nothing is trimmed. Memory is bounded by one buffer of maxRow bytes
// whatever the object's size.
package csv
