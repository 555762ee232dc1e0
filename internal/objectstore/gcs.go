package objectstore

import (
	"context"
	"errors"
	"hash"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"longitude/study"
)

// GCS is a Store in a bucket of Google Cloud Storage, below a prefix. It needs the
// right to create objects and to read them (roles/storage.objectCreator and
// objectViewer), and only for erasures that to delete them: give it no more.
type GCS struct {
	client *storage.Client
	bucket *storage.BucketHandle
	prefix string // "" or ends in "/"
	spool  string // folder of the bytes of uploads that have no key yet
	chunk  int64  // how much of an upload is held in memory, to be able to send it again
}

var _ Store = (*GCS)(nil)

const gcsScheme = "gs://"

// At opens the store at location, "file:<folder>" or "gs://<bucket>/<prefix>", the
// latter with the credentials of the environment. What is being uploaded waits in
// the folder spool, without a name.
func At(ctx context.Context, location, spool string) (Store, error) {
	if IsBucket(location) {
		return OpenGCS(ctx, location, spool)
	}
	return Open(location)
}

// IsBucket reports whether a location is in a bucket.
func IsBucket(location string) bool { return strings.HasPrefix(location, gcsScheme) }

// OpenGCS opens the store at gs://<bucket>/<prefix>.
func OpenGCS(ctx context.Context, location, spool string, options ...option.ClientOption) (*GCS, error) {
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(location, gcsScheme), "/")
	if !IsBucket(location) || bucket == "" || strings.Contains("/"+prefix+"/", "/../") {
		return nil, &study.Error{Code: "objectstore.location", Op: "open an object store: the location is not of the form gs://<bucket>/<prefix>", Exit: study.ExitUsage,
			Hint: "write it like gs://longitude-landing/amd"}
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	client, err := storage.NewClient(ctx, append([]option.ClientOption{storage.WithJSONReads()}, options...)...)
	if err != nil { // its text may tell of credentials
		return nil, gcsError("objectstore.credentials", "reach Cloud Storage: no usable credentials", "run where a service account is attached, or set GOOGLE_APPLICATION_CREDENTIALS", false)
	}
	return &GCS{client: client, bucket: client.Bucket(bucket), prefix: prefix, spool: spool, chunk: Chunk}, nil
}

// Close ends the connections.
func (g *GCS) Close() error { return g.client.Close() }

// patience is how long a small request is tried; an upload has more, by its size.
const patience = time.Minute

// slowest is the rate below which an upload is given up, in bytes per second.
const slowest = 128 << 10

// object is the handle of a key. Whatever is asked of it may be asked again: a
// creation has the condition that there is none yet, all else only reads.
func (g *GCS) object(key string) (*storage.ObjectHandle, error) {
	if !clean(key) {
		return nil, badKey()
	}
	return g.bucket.Object(g.prefix+key).Retryer(storage.WithPolicy(storage.RetryAlways),
		storage.WithBackoff(gax.Backoff{Initial: 200 * time.Millisecond, Max: 10 * time.Second, Multiplier: 2})), nil
}

func (g *GCS) Put(ctx context.Context, key string, r io.Reader) error { return put(ctx, g, key, r) }

func (g *GCS) Stat(ctx context.Context, key string) (int64, error) {
	attrs, err := g.attrs(ctx, key)
	if err != nil {
		return 0, err
	}
	return attrs.Size, nil
}

func (g *GCS) attrs(ctx context.Context, key string) (*storage.ObjectAttrs, error) {
	o, err := g.object(key)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	attrs, err := o.Attrs(ctx)
	return attrs, gcsFailed(ctx, "look at an object", err)
}

// Sweep has nothing to clear: what waits for an upload has no name, and goes with
// its writer.
func (g *GCS) Sweep(context.Context) error { return nil }

// gcsUpload is the bytes of an object on the local disk: its key and its checksum
// are known only at the end, and without the right to delete nothing can be put
// into the bucket meanwhile.
type gcsUpload struct {
	ctx   context.Context
	store *GCS
	file  *os.File
	size  int64
	sum   hash.Hash32
}

func (g *GCS) Create(ctx context.Context) (Upload, error) {
	file, err := os.CreateTemp(g.spool, ".upload-*")
	if err != nil {
		return nil, failed("begin an object", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close()
		return nil, failed("begin an object", err)
	}
	return &gcsUpload{ctx: ctx, store: g, file: file, sum: CRC32C()}, nil
}

func (u *gcsUpload) Write(p []byte) (int, error) {
	n, err := u.file.Write(p)
	u.size += int64(n)
	u.sum.Write(p[:n])
	return n, failed("write an object", err)
}

func (u *gcsUpload) Abort() { _ = u.file.Close() }

// Commit uploads the bytes on the condition that there is no such object.
func (u *gcsUpload) Commit(key string) error {
	defer u.Abort()
	return u.store.upload(u.ctx, key, storage.Conditions{DoesNotExist: true}, u.content())
}

func (u *gcsUpload) content() Content {
	return Content{Size: u.size, CRC32C: u.sum.Sum32(), Type: "application/octet-stream", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(u.file, 0, u.size)), nil
	}}
}

// gcsFailed gives an error of Cloud Storage its code; its own text is left out.
func gcsFailed(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	var known *study.Error
	var answer *googleapi.Error
	status := 0
	if errors.As(err, &answer) {
		status = answer.Code
	}
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, storage.ErrObjectNotExist):
		return ErrNotFound
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case errors.Is(err, storage.ErrBucketNotExist), status == http.StatusNotFound:
		return gcsError("objectstore.bucket", op+": there is no such bucket", "create it, or correct the location", false)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return gcsError("objectstore.permission", op+": Cloud Storage refused", "give this service account roles/storage.objectCreator and roles/storage.objectViewer on the bucket; an erasure also needs storage.objects.delete, and no retention that forbids it", false)
	case status == http.StatusBadRequest, status == http.StatusPreconditionFailed:
		return gcsError("objectstore.refused", op+": Cloud Storage refused the request, as for a wrong checksum", "try again; if it stays so, look for a proxy between here and storage.googleapis.com", false)
	}
	return gcsError("objectstore.unavailable", op+": Cloud Storage did not answer", "try again; nothing half-written is kept", true)
}

func gcsError(code, op, hint string, temporary bool) error {
	return &study.Error{Code: code, Op: op, Hint: hint, Temporary: temporary, Exit: study.ExitEnvironment}
}
