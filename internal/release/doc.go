// Package release gives a release its content: the tables and their rows before
// door 2, the documents that describe them, the signed envelope, and the
// verification that anyone can run later from the folder and a pinned policy.
//
// It is pure: rows come in as study values, files leave as artifacts, and no
// clock is read. The order of building and publishing is the pipeline's.
package release
