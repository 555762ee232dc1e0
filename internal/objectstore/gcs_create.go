package objectstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"time"

	"cloud.google.com/go/storage"

	"longitude/study"
)

// Content is the bytes of an object to be created, and what the bucket is to say of
// them.
type Content struct {
	Size     int64
	CRC32C   uint32 // of Castagnoli; the bucket refuses other bytes
	Type     string // Content-Type
	Cache    string // Cache-Control
	Metadata map[string]string
	Open     func() (io.ReadCloser, error) // the bytes, from their beginning
}

// CRC32C begins the checksum that Cloud Storage compares.
func CRC32C() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

// Chunk is how much of an object one upload holds in memory, in bytes.
const Chunk = 16 << 20

// haste is how long an object is looked at by somebody who was told to stop.
const haste = 5 * time.Second

// uploadMark names the attempt that made an object, in its metadata.
const uploadMark = "longitude-upload"

// CreateObject stores c under key, or answers ErrExists.
func (g *GCS) CreateObject(ctx context.Context, key string, c Content) error {
	return g.upload(ctx, key, storage.Conditions{DoesNotExist: true}, c)
}

// upload uploads the bytes on a condition. When it is not known whether that worked
// (the answer was lost, or an earlier try of the client was the one that did) the
// object is looked at: ErrExists when it is another's. Who may not delete is told 403
// of an object that exists, whatever the condition: that is looked at, too.
func (g *GCS) upload(ctx context.Context, key string, only storage.Conditions, c Content) error {
	o, err := g.object(key)
	if err != nil {
		return err
	}
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	mark := hex.EncodeToString(random)
	sending, cancel := context.WithTimeout(ctx, patience+time.Duration(c.Size/slowest)*time.Second)
	defer cancel()
	made, sent := g.send(sending, o.If(only), mark, c)
	if sent == nil {
		return compared(made, c)
	}
	within := patience
	if ctx.Err() != nil {
		within = haste
	}
	looking, done := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer done()
	attrs, err := g.attrs(looking, key)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case errors.Is(err, ErrNotFound), err == nil && attrs.Generation == only.GenerationMatch:
		return gcsFailed(sending, "store an object", sent)
	case err != nil:
		return err
	case attrs.Metadata[uploadMark] != mark:
		return ErrExists
	}
	return compared(attrs, c)
}

// compared refuses an object that holds other bytes than were sent.
func compared(attrs *storage.ObjectAttrs, c Content) error {
	if attrs.Size == c.Size && attrs.CRC32C == c.CRC32C {
		return nil
	}
	return gcsError("objectstore.garbled", "store an object: other bytes were stored than were sent", "look for a proxy between here and storage.googleapis.com; have an administrator of the bucket remove the object", false)
}

func (g *GCS) send(ctx context.Context, o *storage.ObjectHandle, mark string, c Content) (*storage.ObjectAttrs, error) {
	from, err := c.Open()
	if err != nil {
		return nil, &study.Error{Code: "objectstore.unreadable", Op: "store an object: its bytes cannot be read here", Exit: study.ExitEnvironment,
			Hint: "check the disk under data_dir, then run again"}
	}
	defer func() { _ = from.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := o.NewWriter(ctx)
	w.ContentType, w.CacheControl, w.Metadata = c.Type, c.Cache, map[string]string{uploadMark: mark}
	maps.Copy(w.Metadata, c.Metadata)
	w.CRC32C, w.SendCRC32C = c.CRC32C, true
	w.ChunkRetryDeadline = 5 * time.Minute
	w.ChunkSize = int(min(c.Size+1, g.chunk))
	_, err = io.Copy(w, from)
	if err != nil {
		cancel() // or closing would store what was read so far
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return w.Attrs(), nil
}
