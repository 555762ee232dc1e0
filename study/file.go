package study

import "time"

// FileRecord is what became of one file of a source, in the version that was seen
// last: a line of the source's ledger.
type FileRecord struct {
	Source     string
	Item       string // keyed digest of its name
	Version    string
	Within     string // item of the archive that it came in; "" when it came alone
	Size       int64  // bytes as it stands at the source
	Modified   time.Time
	SHA256     string // hex, of the same bytes; "" where they were not read to their end
	Code       string // of the error that it was refused with
	RunID      int64
	SealedName []byte // where no batch holds it
	KeyVersion int
}

// Outcomes of files.
const (
	FileRecorded = "recorded"  // its records are durable
	FileKnown    = "known"     // it brought the same bytes as before
	FileAside    = "put_aside" // it is durable, and waits in quarantine as a whole
	FileRefused  = "refused"   // nothing of it is durable: it waits at the source
	FileAgain    = "again"     // a person asked for it again: the next run reads it
)
