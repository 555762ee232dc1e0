// Package rave pulls a study from Medidata Rave through Rave Web Services, by one of
// two feeds that do not share keys: the clinical audit records, every change in order
// with who and when and what was removed, or the clinical views, pictures of the data
// that Rave rebuilds now and then.
package rave
