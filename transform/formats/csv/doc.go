// Package csv decodes delimited text: RFC 4180 and the dialects studies really
// deliver. An object is read as its spec says: delimiter; quotes, which are
// doubled or escaped by a backslash, or mean nothing; comments; lines before the
// header; names where there is no header; and an encoding. Line ends (LF, CRLF,
// CR), byte order marks and a delimiter at the end of every line need no key.
//
// It is strict where guessing would change data: a row that does not split is
// broken and keeps its bytes, an encoding that cannot be told is an error with a
// hint. Nothing is trimmed. Memory is bounded by one buffer of maxRow bytes
// whatever the object's size.
package csv
