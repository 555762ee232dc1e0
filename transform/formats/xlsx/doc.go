// Package xlsx decodes one sheet of an Excel workbook (Office Open XML,
// ECMA-376). Cells come out as the values that are stored, not as a screen shows
// them: a number with all its digits, a date as an ISO date whatever its format.
//
// It is strict where guessing would change data: an error cell, a formula that
// was never calculated, a merge over several rows break the row. Hidden rows and
// columns are data like any other.
//
// The workbook is read with the standard library. A sheet is streamed twice: once
// to see its columns, merged cells and whether it is whole, once for its rows.
// Nothing is written to disk. In memory are the compressed object (at most
// maxObject bytes), the shared texts (at most maxShared) and a batch of rows.
package xlsx
