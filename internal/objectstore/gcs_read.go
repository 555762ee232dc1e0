package objectstore

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"cloud.google.com/go/storage"
)

// gcsObject reads one generation of an object. Reads that follow each other share a
// stream; one that breaks is taken up where it broke.
type gcsObject struct {
	ctx    context.Context
	handle *storage.ObjectHandle
	size   int64

	mu     sync.Mutex
	stream io.ReadCloser
	at     int64 // where the stream is
	stop   context.CancelFunc
}

func (g *GCS) Open(ctx context.Context, key string) (Object, error) {
	attrs, err := g.attrs(ctx, key)
	if err != nil {
		return nil, err
	}
	o, err := g.object(key)
	if err != nil {
		return nil, err
	}
	return &gcsObject{ctx: ctx, handle: o.Generation(attrs.Generation), size: attrs.Size}, nil
}

func (o *gcsObject) Size() int64 { return o.size }

// resumptions bounds how often one read is taken up again without getting further.
const resumptions = 4

func (o *gcsObject) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, badKey()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	want := p[:max(0, min(int64(len(p)), o.size-off))]
	for broken := 0; n < len(want); {
		got, err := o.read(want[n:], off+int64(n))
		if n += got; got > 0 {
			broken = 0
		}
		if err == nil {
			continue
		}
		o.drop()
		final := gcsFailed(o.ctx, "read an object", err)
		if broken++; broken > resumptions || errors.Is(final, ErrNotFound) || o.ctx.Err() != nil {
			return n, final
		}
	}
	if len(want) < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// read reads some bytes at off. A stream that gives nothing for too long is stopped.
func (o *gcsObject) read(p []byte, off int64) (int, error) {
	if o.stream != nil && o.at != off {
		o.drop()
	}
	if o.stream == nil {
		ctx, stop := context.WithCancel(o.ctx)
		o.stop = stop
		late := time.AfterFunc(patience, stop)
		stream, err := o.handle.NewRangeReader(ctx, off, -1)
		late.Stop()
		if err != nil {
			return 0, err
		}
		o.stream, o.at = stream, off
	}
	late := time.AfterFunc(patience, o.stop)
	defer late.Stop()
	n, err := o.stream.Read(p)
	o.at += int64(n)
	if errors.Is(err, io.EOF) && n > 0 {
		err = nil
	}
	return n, err
}

func (o *gcsObject) drop() {
	if o.stop != nil {
		o.stop()
		o.stop = nil
	}
	if o.stream != nil {
		_ = o.stream.Close()
		o.stream = nil
	}
}

func (o *gcsObject) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop()
	return nil
}
