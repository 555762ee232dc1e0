package status

import (
	"time"

	"longitude/study"
)

// FileFilter narrows Files; empty fields do not.
type FileFilter struct {
	Source, Outcome string
	Page
}

// File is what became of one file of a source. Its name may identify a person and
// is not told: size, time and SHA-256 find it where it came from.
type File struct {
	ID       int64     `json:"id"`
	Source   string    `json:"source"`
	Item     string    `json:"item" doc:"First 12 hexadecimal digits of the keyed digest of its path, as logs name it"`
	Within   int64     `json:"within,omitempty" doc:"The archive that it came in"`
	Size     int64     `json:"size" doc:"Bytes at the source"`
	Modified time.Time `json:"modified" doc:"When it was changed last, by the clock of the source"`
	SHA256   string    `json:"sha256,omitempty" doc:"Of the bytes at the source; empty if they were not read to their end"`
	Outcome  string    `json:"outcome" enum:"recorded,known,put_aside,refused,again"`
	Code     string    `json:"code,omitempty" doc:"Why it was refused"`
	Batch    int64     `json:"batch,omitempty"`
	Run      int64     `json:"run"`
	Tries    int       `json:"tries" doc:"How often this version of it was read"`
	Seen     time.Time `json:"seen"`
}

// FileOutcomes are the outcomes of files.
var FileOutcomes = []string{study.FileRecorded, study.FileKnown, study.FileAside, study.FileRefused, study.FileAgain}
