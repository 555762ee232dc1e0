// Package connectors fetches raw objects from the places where studies leave
// them. A connector reads of the bytes only what requests, paging and cursors
// need; it never interprets a record.
//
// A new connector is one new folder and one line in connectors/all.
package connectors

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"time"

	"longitude/study"
)

// Source is an open connection to one configured source. A Source is used by
// one goroutine at a time.
type Source interface {
	// Check reaches the source and reports whether a pull could start: address,
	// host key, credentials, folder. It reads no participant data.
	Check(ctx context.Context) error

	// Pull yields what is new after the cursor, oldest first, and stops at the
	// first error. Pulling the same cursor twice yields the same deliveries or
	// newer ones, never fewer. The consumer reads a delivery (Open … Close)
	// before it asks for the next. Nothing new is an empty sequence, not an error.
	Pull(ctx context.Context, after Cursor) iter.Seq2[Delivery, error]

	// Close releases the connection. It may be called more than once.
	Close() error
}

// Acknowledger is the optional ability to tell the source that a delivery is
// durable (archive or delete a file). It is called only after the transaction
// that holds the delivery's records and cursor has committed, and must be
// idempotent: after a crash it is called again.
type Acknowledger interface {
	Acknowledge(ctx context.Context, d Delivery) error
}

// Recoverer is the optional ability of an Acknowledger to find again what is
// durable but was never acknowledged, because the program died in between. The
// caller acknowledges each of them; the deliveries need not be read.
type Recoverer interface {
	Unacknowledged(ctx context.Context, durable Cursor) iter.Seq2[Delivery, error]
}

// Discoverer is the optional ability to fetch what a source says of its own shape:
// its dictionary, its events, its forms. It reads no participant data. The source's
// format describes them (transform.Describer).
type Discoverer interface {
	Discover(ctx context.Context) ([]study.Metadata, error)
}

// Targeted is the optional ability to fetch only what is named: the things that a
// hint, such as a webhook, says have changed.
type Targeted interface {
	// PullOnly yields what the source holds now of those things, by their names there:
	// the identifiers of records. A thing that the source does not have is left out. No
	// delivery moves the cursor: the next Pull comes upon them again, so a hint that is
	// lost loses nothing.
	PullOnly(ctx context.Context, after Cursor, names []string) iter.Seq2[Delivery, error]
}

// Cursor is what is settled about a source so far.
type Cursor struct {
	State   []byte            // opaque state of the last durable delivery; nil at first
	Known   map[string]string // Delivery.Item → Delivery.Version of every durable delivery
	Refused map[string]string // the same of what was Refused: it is not durable, and not asked for again
}

// Has reports whether this version of the item is already durable.
func (c Cursor) Has(item, version string) bool {
	v, ok := c.Known[item]
	return ok && v == version
}

// settled reports whether there is nothing to do about this version of the item:
// it is durable, or waits for a person.
func (c Cursor) settled(item, version string) bool {
	v, ok := c.Refused[item]
	return ok && v == version || c.Has(item, version)
}

// Refused is an error about one delivery itself, which reading it again cannot
// cure: its checksum is another, its archive is unsafe. Open and the reader answer
// it. The source goes on behind it, the object stays where it is, and it is read
// again when it has changed or a person asks for it.
type Refused struct{ Why *study.Error }

func (r *Refused) Error() string { return r.Why.Error() }
func (r *Refused) Unwrap() error { return r.Why }

// Delivery is one object offered by a source.
type Delivery struct {
	Item     string // keyed digest of Name (Runtime.Digest): safe to store and log; "" = no other delivery is a version of it
	Name     string // the source's own name for it: may identify, is only ever sealed
	Version  string // fingerprint that changes when the object does, e.g. size and mtime
	Size     int64  // bytes, -1 if unknown
	Modified time.Time
	State    []byte // the source's cursor state once this delivery is durable
	Rows     *int64 // how many rows it holds, where its sender says so
	Whole    *Whole // the archive that it came in; nil when it came alone
	Holds    Holds  // what absence from it means

	// File is the file at the source that this is in: its bytes and, once it was
	// read to its end, its SHA-256 in hex. nil where it is in none, or in a Whole.
	File func() (size int64, sum string)

	// Open starts reading the object. The reader returns an error instead of
	// io.EOF when fewer or other bytes arrived than the source promised (short
	// read, size or mtime changed while reading, checksum mismatch).
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Holds says of what a delivery holds everything, so that what is not in it is gone
// at the source.
type Holds string

const (
	// AsConfigured is for the source's document to say, by its `snapshot`.
	AsConfigured Holds = ""
	// Participants is everything of each participant in it: a record of theirs that
	// is not there is gone. It says nothing of other participants.
	Participants Holds = "participants"
	// Roster is the identifiers of all participants of the source, and nothing else:
	// whoever is not in it is gone. It is UTF-8 text, an identifier a line as the rows
	// of the source give it, whatever the source's format.
	Roster Holds = "roster"
)

// Whole is a file that holds several deliveries. It is durable, too, once the last
// of them is.
type Whole struct {
	Item, Name, Version string
	Size                int64
	Modified            time.Time
	Sum                 string // SHA-256, hex
	Last                bool   // no other of its deliveries is still to come
}

// Runtime is what the program supplies to a connector, kept apart from what the
// operator configures.
type Runtime struct {
	Digest func(string) string // keyed digest of a name, hex
	Now    func() time.Time
	Sleep  func(context.Context, time.Duration) error
	Log    *slog.Logger
	Dir    string // folder of the config file: relative paths start here
	Inbox  Inbox  // of a Receiver; nil where nothing can be received
}

// Spec is one entry of the list of connectors: typed inside, erased here once.
type Spec struct {
	Type string
	Doc  string
	// Config returns a pointer to a new config struct holding the defaults; the
	// caller decodes YAML into it strictly and then calls Open with it.
	Config func() any
	// Validate reports every finding in a decoded config at once.
	Validate func(config any) []Finding
	// Open makes a Source. It does not reach out: Check and Pull do.
	Open func(config any, rt Runtime) (Source, error)
}

// Finding is one mistake in a connector's config: the YAML key it is about
// (dotted), what is wrong and what to do.
type Finding struct{ Key, Message, Hint string }

// Define makes a Spec of a connector's own config type C.
func Define[C any](typ, doc string, defaults func() C, validate func(C) []Finding, open func(C, Runtime) (Source, error)) Spec {
	return Spec{
		Type: typ, Doc: doc,
		Config:   func() any { c := defaults(); return &c },
		Validate: func(c any) []Finding { return validate(*c.(*C)) },
		Open:     func(c any, rt Runtime) (Source, error) { return open(*c.(*C), rt) },
	}
}
