package connectors

import (
	"context"
	"iter"
	"net/http"
)

// Receiver is the ability of a source that does not ask for what is new but is sent
// it. What it admits is made durable in its Inbox before the sender is answered, and
// Pull offers it from there.
type Receiver interface {
	// Admit judges one request: its header, what stands behind the source's name in
	// the path, and its body as sent. It answers the sender's own name for the request,
	// by which the same request is known when it is sent again ("" where it has none),
	// and the content to keep. Whether the sender is who it says it is comes before
	// everything else, and takes as long for a wrong proof as for none. It is safe for
	// concurrent use.
	Admit(header http.Header, secret string, body []byte) (id string, content []byte, err error)
	Bounds() Bounds
	// Hint says that what is sent only tells that another source has something new: its
	// name. ok is false where what is sent is the data.
	Hint() (source string, ok bool)
	// Named are the things that a hint says have changed, by their names at the other
	// source (Targeted); nil where it does not say.
	Named(content []byte) []string
}

// Bounds are what a receiving source lets in.
type Bounds struct {
	Body    int64 // bytes of one request
	Rate    int   // requests a second, in the long run
	Burst   int   // requests at once
	Waiting int   // requests that wait to be landed
}

// Inbox holds what a source was sent, sealed, until it is durable as deliveries.
// Requests are numbered in the order in which they became durable.
type Inbox interface {
	// Group answers the first and last request of the next object behind a request: at
	// most so many requests. Asked again it answers the same. ok is false when nothing
	// is there.
	Group(ctx context.Context, after int64, most int) (first, last int64, ok bool, err error)
	// Contents reads the requests of a group, in order.
	Contents(ctx context.Context, first, last int64) iter.Seq2[[]byte, error]
	// Forget deletes what was kept of all requests up to one. That they came is never
	// forgotten.
	Forget(ctx context.Context, upTo int64) error
	// Held reports whether anything is kept of requests up to one.
	Held(ctx context.Context, upTo int64) (bool, error)
}
