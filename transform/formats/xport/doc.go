// Package xport reads SAS transport files: version 5, which regulators ask for
// (SAS technical note TS-140), and version 8 with its long names, labels and
// formats (SAS, "Record Layout of a SAS Version 8 or 9 Data Set in SAS Transport
// Format"; where that note and SAS's own macro %xpt2loc differ, the macro).
//
// An object is a library of members (data sets). Everything in it is in records
// of 80 bytes; rows have a fixed length and are packed without regard to
// records. Numbers are IBM hexadecimal floats, which lose nothing on the way to
// the shortest decimal that stands for the same float64. Memory is bounded by a
// buffer of rows whatever the object's size.
package xport
