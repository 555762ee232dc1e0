package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"longitude/internal/audit"
	"longitude/internal/objectstore"
	"longitude/study"
)

// anchorage is where checkpoints are kept that the database's administrator cannot
// change: each under the size of its log, written once.
type anchorage interface {
	sizes(ctx context.Context) ([]int64, error) // ascending
	read(ctx context.Context, size int64) ([]byte, error)
	keep(ctx context.Context, size int64, note []byte) error
	Close() error
}

// openAnchorage opens a folder, with or without file: before it, or a place in a
// bucket.
func openAnchorage(ctx context.Context, location string) (anchorage, error) {
	if objectstore.IsBucket(location) {
		g, err := objectstore.OpenGCS(ctx, location, os.TempDir())
		return anchorBucket{g}, err
	}
	return anchorFolder(strings.TrimPrefix(location, "file:")), nil
}

// anchorName is the size of the log, so that names are in the order of the log.
func anchorName(size int64) string { return fmt.Sprintf("%020d.checkpoint", size) }

// anchorSize is the size in the name of an anchor; what has another name is none.
func anchorSize(name string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, ".checkpoint")
	size, err := strconv.ParseInt(digits, 10, 64)
	return size, ok && err == nil && name == anchorName(size)
}

type anchorFolder string

func (f anchorFolder) sizes(context.Context) ([]int64, error) {
	files, err := os.ReadDir(string(f)) // in the order of names
	if err != nil {
		return nil, noAnchors()
	}
	var out []int64
	for _, file := range files {
		if size, ok := anchorSize(file.Name()); ok {
			out = append(out, size)
		}
	}
	return out, nil
}

func (f anchorFolder) read(_ context.Context, size int64) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(string(f), anchorName(size)))
	if err != nil {
		return nil, noAnchors()
	}
	return text, nil
}

func (f anchorFolder) keep(_ context.Context, size int64, note []byte) error {
	return putOnce(filepath.Join(string(f), anchorName(size)), note)
}

func (anchorFolder) Close() error { return nil }

func noAnchors() error {
	return &study.Error{Code: "audit.anchors", Op: "cannot read the anchors", Exit: study.ExitEnvironment, Hint: "name a folder or a bucket that is there and that this user may read"}
}

type anchorBucket struct{ *objectstore.GCS }

func (b anchorBucket) sizes(ctx context.Context) ([]int64, error) {
	keys, err := b.List(ctx, "")
	var out []int64
	for _, key := range keys {
		if size, ok := anchorSize(key); ok {
			out = append(out, size)
		}
	}
	return out, err
}

// maxAnchor bounds what is read of an anchor, in bytes; a checkpoint is far smaller.
const maxAnchor = 64 << 10

func (b anchorBucket) read(ctx context.Context, size int64) ([]byte, error) {
	o, err := b.Open(ctx, anchorName(size))
	if err != nil {
		return nil, err
	}
	defer func() { _ = o.Close() }()
	return io.ReadAll(io.NewSectionReader(o, 0, min(o.Size(), maxAnchor)))
}

func (b anchorBucket) keep(ctx context.Context, size int64, note []byte) error {
	return b.Put(ctx, anchorName(size), bytes.NewReader(note))
}

// readAnchors reads the anchors of a place, ascending; "" is none.
func readAnchors(ctx context.Context, location string) ([]audit.Anchor, error) {
	if location == "" {
		return nil, nil
	}
	place, err := openAnchorage(ctx, location)
	if err != nil {
		return nil, err
	}
	defer func() { _ = place.Close() }()
	sizes, err := place.sizes(ctx)
	var out []audit.Anchor
	for i := 0; i < len(sizes) && err == nil; i++ {
		var note []byte
		note, err = place.read(ctx, sizes[i])
		out = append(out, audit.Anchor{Size: sizes[i], Note: note})
	}
	return out, err
}

// anchor keeps the newest checkpoint in a place, and answers its size. It refuses
// when the log no longer contains the newest anchor that is there.
func (h *house) anchor(ctx context.Context, location string) (int64, error) {
	place, err := openAnchorage(ctx, location)
	if err != nil {
		return 0, err
	}
	defer func() { _ = place.Close() }()
	sizes, err := place.sizes(ctx)
	if err != nil {
		return 0, err
	}
	c, err := h.checkpoint(ctx)
	if err != nil {
		return 0, err
	}
	if n := len(sizes); n > 0 {
		note, err := place.read(ctx, sizes[n-1])
		if err != nil {
			return 0, err
		}
		last, err := h.signer.Policy().Open(note)
		if err == nil {
			err = h.store.AuditConsistent(ctx, last, c)
		}
		if err != nil || last.Size == c.Size {
			return c.Size, err
		}
	}
	return c.Size, place.keep(ctx, c.Size, c.Note)
}

// anchorAll keeps the newest checkpoint in every place of service.anchors. A place
// that fails does not keep the others from it.
func (h *house) anchorAll(ctx context.Context) error {
	var failed error
	for _, location := range h.cfg.Service.Anchors {
		_, err := h.anchor(ctx, location)
		failed = errors.Join(failed, err)
	}
	return failed
}

// anchorEvery is how long the newest events wait for an anchor while the service runs.
const anchorEvery = 15 * time.Minute

// anchoring anchors the log until ctx ends. A failure is logged each time: what was
// not anchored can be changed by whoever has the database and the keys.
func (h *house) anchoring(ctx context.Context) {
	for len(h.cfg.Service.Anchors) > 0 && sleep(ctx, anchorEvery) == nil {
		h.tellAnchored(ctx, h.anchorAll(ctx))
	}
}

func (h *house) tellAnchored(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		h.a.log.Error("the audit log is not anchored", "code", codeOf(err))
	}
}
