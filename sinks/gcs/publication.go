package gcs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"path"
	"path/filepath"
	"strings"

	"longitude/deid"
	"longitude/internal/objectstore"
	"longitude/sinks"
	"longitude/study"
)

// publication is one attempt. It is for one goroutine; uploads run beside it.
type publication struct {
	sink    *Sink
	store   *objectstore.GCS
	release sinks.Release
	there   map[string]objectstore.Stored // by path, when the attempt began
	put     map[string]objectstore.Content
	uploads *crew
	over    bool // committed or given up
	done    bool
}

func newPublication(ctx context.Context, s *Sink, store *objectstore.GCS, r sinks.Release, there map[string]objectstore.Stored) *publication {
	return &publication{sink: s, store: store, release: r, there: there, put: map[string]objectstore.Content{}, uploads: newCrew(ctx)}
}

// objects are those below the release's prefix, by path. Placeholders of folders,
// which some tools make, are left out.
func objects(ctx context.Context, store *objectstore.GCS, r sinks.Release) (map[string]objectstore.Stored, error) {
	list, err := store.Listing(ctx, folder(r)+"/")
	if err != nil {
		return nil, err
	}
	out := map[string]objectstore.Stored{}
	for _, o := range list {
		if at := strings.TrimPrefix(o.Key, folder(r)+"/"); at != "" && !strings.HasSuffix(at, "/") {
			out[at] = o
		}
	}
	return out, nil
}

// Put reads the artifact, compares it with its digest, and uploads it beside the
// caller unless the bucket has it already.
func (p *publication) Put(ctx context.Context, a deid.Artifact) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if was, twice := p.put[a.Path()]; twice {
		if was.Metadata[digestKey] != a.Digest().String() {
			return p.refuse("sink.conflict", a.Path()+" was already put with other bytes")
		}
		return nil
	}
	if p.over || !filepath.IsLocal(a.Path()) || a.Path() == sinks.Envelope {
		return p.refuse("sink.path", a.Path()+" cannot be put")
	}
	c, err := p.content(a)
	if err != nil {
		return err
	}
	if was, there := p.there[a.Path()]; there && !same(was, c) {
		return p.occupied(a.Path())
	} else if !there {
		err = p.uploads.do(ctx, func(ctx context.Context) error { return p.create(ctx, a.Path(), c) })
	}
	if err == nil {
		p.put[a.Path()] = c
	}
	return err
}

func (p *publication) refuse(code, what string) error {
	return &study.Error{Code: code, Op: "publishing " + p.release.ID + ": " + what, Hint: "this is a fault of the program: report it with the code"}
}

func (p *publication) occupied(path string) error {
	return &study.Error{Code: "sink.conflict", Op: "publishing " + p.release.ID + ": the bucket holds other bytes under " + path, Exit: study.ExitBlocked,
		Hint: "nothing is overwritten: another program, or an earlier database, published there; set another location under service.sinks.gcs, or have an administrator of the bucket remove what is below the release's prefix"}
}

const (
	digestKey = "sha256"  // in the metadata of every object of a release
	caching   = "private" // nothing between the bucket and its reader keeps a copy
)

// kinds are the content types of a release's files, by the end of their names.
var kinds = map[string]string{
	".parquet": "application/vnd.apache.parquet",
	".json":    "application/json",
	".ipynb":   "application/json",
	".csv":     "text/csv; charset=utf-8",
	".md":      "text/markdown; charset=utf-8",
	"":         "text/plain; charset=utf-8", // SHA256SUMS
}

// content hashes the artifact: the bytes that are uploaded are compared with these
// sums by the bucket.
func (p *publication) content(a deid.Artifact) (objectstore.Content, error) {
	from, err := a.Open()
	if err != nil {
		return objectstore.Content{}, p.unreadable(a)
	}
	defer func() { _ = from.Close() }()
	whole, sum := sha256.New(), objectstore.CRC32C()
	size, err := io.Copy(io.MultiWriter(whole, sum), from)
	if err != nil {
		return objectstore.Content{}, p.unreadable(a)
	}
	if study.Digest(whole.Sum(nil)) != a.Digest() {
		return objectstore.Content{}, &study.Error{Code: "sink.corrupt", Op: "publishing " + p.release.ID + ": reading " + a.Path() + ": its bytes changed since it was built", Exit: study.ExitBlocked,
			Hint: "something wrote into the build folder: build the release again"}
	}
	kind := kinds[path.Ext(a.Path())]
	if kind == "" {
		kind = "application/octet-stream"
	}
	return objectstore.Content{Size: size, CRC32C: sum.Sum32(), Type: kind, Cache: caching, Open: a.Open,
		Metadata: map[string]string{"release": p.release.ID, digestKey: hex.EncodeToString(whole.Sum(nil))}}, nil
}

func (p *publication) unreadable(a deid.Artifact) error {
	return &study.Error{Code: "sink.failed", Op: "publishing " + p.release.ID + ": " + a.Path() + " cannot be read from the build folder", Exit: study.ExitEnvironment,
		Hint: "check the disk under data_dir, then run again; nothing of this release became visible"}
}

// same compares what is stored with what is to be: by the bucket's own checksum and
// by the digest that came with the bytes.
func same(was objectstore.Stored, c objectstore.Content) bool {
	return was.Size == c.Size && was.CRC32C == c.CRC32C && was.Metadata[digestKey] == c.Metadata[digestKey]
}

// create stores one object. One that is there already, by another attempt at the
// same release, has to be the same.
func (p *publication) create(ctx context.Context, path string, c objectstore.Content) error {
	key := folder(p.release) + "/" + path
	err := p.store.CreateObject(ctx, key, c)
	if !errors.Is(err, objectstore.ErrExists) {
		return err
	}
	was, err := p.store.Look(ctx, key)
	if err != nil {
		return lost(err)
	}
	if !same(was, c) {
		return p.occupied(path)
	}
	return nil
}

// Commit waits for the uploads, compares what the bucket lists with what was put,
// creates the envelope and moves current.
func (p *publication) Commit(ctx context.Context, signed deid.Artifact) error {
	if p.done {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if signed.Path() != sinks.Envelope || p.over {
		return p.refuse("sink.path", "it is committed without its envelope or after it was given up")
	}
	if err := p.uploads.wait(); err != nil {
		return err
	}
	c, err := p.content(signed)
	if err == nil {
		err = p.complete(ctx)
	}
	if err != nil {
		return err
	}
	study.Reached(study.PointBeforeEnvelope)
	if err := p.create(ctx, sinks.Envelope, c); err != nil {
		return err
	}
	study.Reached(study.PointAfterEnvelope)
	if err := point(ctx, p.store, p.release); err != nil {
		return err
	}
	p.done = true
	return nil
}

// complete compares the bucket with what was put: verification refuses a release
// with a file too few, and one too many. The envelope may be there: another attempt
// at the same release was faster.
func (p *publication) complete(ctx context.Context) error {
	there, err := objects(ctx, p.store, p.release)
	if err != nil {
		return err
	}
	for path := range p.put {
		if _, stored := there[path]; !stored {
			return lost(objectstore.ErrNotFound)
		}
	}
	for path, was := range there {
		if c, put := p.put[path]; path != sinks.Envelope && (!put || !same(was, c)) {
			return p.occupied(path)
		}
	}
	return nil
}

// Abort stops the uploads. What they made stays: nothing is deleted, and the next
// attempt takes it over.
func (p *publication) Abort(context.Context) error {
	p.over = true
	p.uploads.stop()
	_ = p.uploads.wait()
	return nil
}
