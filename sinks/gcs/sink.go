package gcs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"

	"google.golang.org/api/option"

	"longitude/internal/objectstore"
	"longitude/sinks"
	"longitude/study"
)

// Sink publishes into a bucket. It implements sinks.Sink and may be used from
// several goroutines.
type Sink struct {
	location string // without a slash at its end
	options  []option.ClientOption

	mu     sync.Mutex
	opened *objectstore.GCS // nil before it is first needed
}

var _ sinks.Sink = (*Sink)(nil)

// store connects when it is first needed: looking for credentials may reach out.
func (s *Sink) store(ctx context.Context) (*objectstore.GCS, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened != nil {
		return s.opened, nil
	}
	g, err := objectstore.OpenGCS(context.WithoutCancel(ctx), s.location, "", s.options...)
	if err == nil {
		s.opened = g
	}
	return g, err
}

// Check lists what is below the location and asks whether the account may create
// and read. It writes nothing: what it wrote it could not delete.
func (s *Sink) Check(ctx context.Context) error {
	store, err := s.store(ctx)
	if err != nil {
		return err
	}
	return store.Usable(ctx)
}

// Location is the URL below which the release's objects are.
func (s *Sink) Location(r sinks.Release) string { return s.location + "/" + folder(r) }

func folder(r sinks.Release) string { return r.Study + "/" + r.ID }

// Begin looks at what an earlier attempt left: the same bytes are taken over, other
// bytes refuse the release. For a published release it sees that current is right.
// Two attempts at the same release may be made at once; they put the same objects.
func (s *Sink) Begin(ctx context.Context, r sinks.Release) (sinks.Publication, error) {
	if err := r.Valid(); err != nil {
		return nil, err
	}
	store, err := s.store(ctx)
	if err != nil {
		return nil, err
	}
	there, err := objects(ctx, store, r)
	if err != nil {
		return nil, err
	}
	if _, visible := there[sinks.Envelope]; !visible {
		return newPublication(ctx, s, store, r, there), nil
	}
	signed, err := small(ctx, store, folder(r)+"/"+sinks.Envelope)
	if err == nil {
		err = point(ctx, store, r)
	}
	if err != nil {
		return nil, err
	}
	return nil, &sinks.Published{Envelope: sha256.Sum256(signed)}
}

// maxSmall bounds what is read of an envelope or a pointer, in bytes.
const maxSmall = 1 << 20

func small(ctx context.Context, store *objectstore.GCS, key string) ([]byte, error) {
	o, err := store.Open(ctx, key)
	if err != nil {
		return nil, lost(err)
	}
	defer func() { _ = o.Close() }()
	content, err := io.ReadAll(io.NewSectionReader(o, 0, min(o.Size(), maxSmall)))
	return content, lost(err)
}

// lost gives a name to an object that is gone although nobody may delete it.
func lost(err error) error {
	if !errors.Is(err, objectstore.ErrNotFound) {
		return err
	}
	return &study.Error{Code: "sink.lost", Op: "publishing into the bucket: an object that was there is gone", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "see who deletes objects of this bucket, then run again"}
}

// document is the content of a small object.
func document(text []byte, kind string, metadata map[string]string) objectstore.Content {
	sum := objectstore.CRC32C()
	_, _ = sum.Write(text) // never fails
	return objectstore.Content{Size: int64(len(text)), CRC32C: sum.Sum32(), Type: kind, Cache: caching, Metadata: metadata,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }}
}
