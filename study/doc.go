// Package study is the vocabulary of Longitude: the words of a longitudinal
// clinical study and nothing else. Every other package speaks it, so it imports
// the standard library only and does no I/O.
//
// The path of a value, in the words of this package:
//
//	Object ── bytes as landed, addressed by a keyed digest
//	Draft  ── one filled-in form as mapped from a row, identity still inside
//	Record ── the same after door 1: a participant number, typed answers, sealed rest
//	Visit, Deviation ── what the protocol makes of the records (transform.Judge)
//	Batch  ── columns of one release table, before and after door 2
//	Manifest ── what a release says of itself
package study
