package study

import "time"

// ReleasePlan pins what a release is built from: same plan, same bytes.
type ReleasePlan struct {
	Study     string
	ID        string // <study>_r<NNN>, with '-' as '_'
	Number    int
	AsOf      Date  // the date on which everything is judged
	Cutoff    Date  // what was collected up to then
	MaxBatch  int64 // the committed set of batches: all of the study up to this one
	PlannedAt time.Time

	Batches          int64             // objects recorded in that set
	Counts           Counts            // of that set
	Mappings         map[string]string // source@version → mapping digest
	Previous         string            // release id before this one; "" = first
	PreviousLocation string
	LastAsOf         Date // of the release published before this one, in any series; NoDate = first
}

// Publication is one sink's publishing of one release.
type Publication struct {
	Sink     string
	Location string
	Envelope Digest
	Claim    string
	Tables   int
	Rows     int64
	Bytes    int64
	Sizes    []TableSize
}

// TableSize is what one table of a publication came to.
type TableSize struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
	Files int64  `json:"files"`
}
