package gcs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	htransport "google.golang.org/api/transport/http"

	"longitude/connectors"
	"longitude/study"
)

// source is a drop in a bucket.
type source struct {
	connectors.Drop
	place *place
}

func open(c Config, rt connectors.Runtime) (connectors.Source, error) {
	p := &place{bucket: c.Bucket, folder: folderOf(path.Dir(c.Path)), looked: map[string]int64{}}
	if archive := connectors.ArchiveFolder(c.After); archive != "" {
		p.archive = folderOf(archive)
	}
	return &source{place: p, Drop: connectors.Drop{
		Place: p, Path: c.Path, Ready: c.Ready, After: c.After, Unpack: c.Unpack, Runtime: rt,
	}}, nil
}

// folderOf is the prefix of what is in a folder.
func folderOf(folder string) string {
	folder = strings.Trim(path.Clean(folder), "/")
	if folder == "." || folder == "" {
		return ""
	}
	return folder + "/"
}

// Check implements connectors.Source. One page of the listing tells whether the
// bucket can be read.
func (s *source) Check(ctx context.Context) error {
	return s.place.do(ctx, "list the bucket", func(b *storage.BucketHandle) error {
		_, err := b.Objects(ctx, &storage.Query{Prefix: s.place.folder, Delimiter: "/"}).Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		return err
	})
}

// Close implements connectors.Source.
func (s *source) Close() error {
	if s.place.client == nil {
		return nil
	}
	err := s.place.client.Close()
	s.place.client = nil
	s.place.wire.CloseIdleConnections()
	return err
}

// place is the objects under a prefix, without those in folders below.
type place struct {
	bucket, folder, archive string

	wire   *http.Transport
	client *storage.Client  // nil before it is first needed
	looked map[string]int64 // generation that Stat saw last: only that is taken away
}

// List implements connectors.Place.
func (p *place) List(ctx context.Context) (files []connectors.File, err error) {
	err = p.do(ctx, "list the bucket", func(b *storage.BucketHandle) error {
		query := &storage.Query{Prefix: p.folder, Delimiter: "/"}
		if err := query.SetAttrSelection([]string{"Name", "Size", "Updated", "Generation"}); err != nil {
			return err
		}
		for all := b.Objects(ctx, query); ; {
			o, err := all.Next()
			if errors.Is(err, iterator.Done) {
				return nil
			}
			if err != nil {
				return err // whatever was listed until then is only a part
			}
			if name := strings.TrimPrefix(o.Name, p.folder); o.Prefix == "" && name != "" {
				files = append(files, fileOf(name, o))
			}
		}
	})
	return files, err
}

func fileOf(name string, o *storage.ObjectAttrs) connectors.File {
	return connectors.File{Name: name, Size: o.Size, Modified: o.Updated, Revision: strconv.FormatInt(o.Generation, 10)}
}

// Stat implements connectors.Place.
func (p *place) Stat(ctx context.Context, name string) (f connectors.File, err error) {
	err = p.do(ctx, "look at an object", func(b *storage.BucketHandle) error {
		o, err := b.Object(p.folder + name).Attrs(ctx)
		if err == nil {
			f, p.looked[name] = fileOf(name, o), o.Generation
		}
		return err
	})
	return f, err
}

// Open implements connectors.Place. The bytes are those in the bucket: nothing is
// unpacked on the way.
func (p *place) Open(ctx context.Context, name string, from int64) (r io.ReadCloser, err error) {
	err = p.do(ctx, "open an object", func(b *storage.BucketHandle) error {
		o := b.Object(p.folder + name)
		if g, ok := p.looked[name]; ok {
			o = o.Generation(g)
		}
		from, err := o.ReadCompressed(true).NewRangeReader(ctx, from, -1)
		r = reader{ctx, from}
		return err
	})
	return r, err
}

// Remove implements connectors.Place. An object that was replaced since it was
// looked at stays.
func (p *place) Remove(ctx context.Context, name string) error {
	return p.do(ctx, "delete an object", func(b *storage.BucketHandle) error {
		return p.settle(b.Object(p.folder+name), name, func(o *storage.ObjectHandle) error { return o.Delete(ctx) })
	})
}

// Archive implements connectors.Place: a copy, then a deletion. What dies in
// between is archived once more.
func (p *place) Archive(ctx context.Context, name string) error {
	return p.do(ctx, "archive an object", func(b *storage.BucketHandle) error {
		from := b.Object(p.folder + name)
		if g, ok := p.looked[name]; ok {
			from = from.Generation(g)
		}
		if _, err := b.Object(p.archive + name).CopierFrom(from).Run(ctx); err != nil {
			return err
		}
		return p.settle(b.Object(p.folder+name), name, func(o *storage.ObjectHandle) error { return o.Delete(ctx) })
	})
}

// settle acts on the generation that was looked at. Another one is not ours to take.
func (p *place) settle(o *storage.ObjectHandle, name string, act func(*storage.ObjectHandle) error) error {
	g, ok := p.looked[name]
	if ok {
		o = o.If(storage.Conditions{GenerationMatch: g})
	}
	err := act(o)
	var answer *googleapi.Error
	if errors.As(err, &answer) && answer.Code == http.StatusPreconditionFailed {
		err = nil
	}
	if err == nil {
		delete(p.looked, name)
	}
	return err
}

// do runs one operation, connecting when it is first needed.
func (p *place) do(ctx context.Context, op string, operate func(*storage.BucketHandle) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.connect(ctx); err != nil {
		return explain(ctx, "sign in to Cloud Storage", err)
	}
	return explain(ctx, op, operate(p.client.Bucket(p.bucket)))
}

// connect signs in as the machine or its user is known to Google Cloud. The
// connections are ours, so that closing leaves none.
func (p *place) connect(ctx context.Context) (err error) {
	if p.client != nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	p.wire = http.DefaultTransport.(*http.Transport).Clone()
	var through http.RoundTripper = p.wire
	if os.Getenv("STORAGE_EMULATOR_HOST") == "" {
		if through, err = htransport.NewTransport(ctx, p.wire, option.WithScopes(storage.ScopeReadWrite)); err != nil {
			return errNoCredentials
		}
	}
	p.client, err = storage.NewClient(ctx, option.WithHTTPClient(&http.Client{Transport: through}))
	return err
}

// reader keeps names out of the errors of reading.
type reader struct {
	ctx context.Context // of Open
	*storage.Reader
}

func (r reader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, explain(r.ctx, "read an object", err)
}

var errNoCredentials = &study.Error{Code: "gcs.credentials", Op: "find credentials for Google Cloud", Exit: study.ExitEnvironment,
	Hint: "run as a service account of Google Cloud, or sign in with gcloud auth application-default login"}

// explain turns an error of the library, which may quote names, into one that says
// what happened and nothing of the object.
func explain(ctx context.Context, op string, err error) error {
	if err == nil || errors.Is(err, errNoCredentials) {
		return err
	}
	if reason := ctx.Err(); reason != nil {
		return reason
	}
	e := &study.Error{Code: "gcs.failed", Op: op, Temporary: true, Exit: study.ExitEnvironment,
		Hint: "Cloud Storage did not answer; it is tried again"}
	var answer *googleapi.Error
	switch {
	case errors.Is(err, storage.ErrBucketNotExist):
		e.Code, e.Temporary, e.Err = "gcs.missing", false, fs.ErrNotExist
		e.Hint = "compare bucket in the source with the buckets of the project"
	case errors.Is(err, storage.ErrObjectNotExist):
		e.Code, e.Temporary, e.Err = "gcs.missing", false, fs.ErrNotExist
		e.Hint = "nothing to do unless somebody else empties this bucket too"
	case errors.As(err, &answer) && (answer.Code == http.StatusForbidden || answer.Code == http.StatusUnauthorized):
		e.Code, e.Temporary = "gcs.permission_denied", false
		e.Hint = "grant the program storage.objects.list and storage.objects.get on the bucket, and unless after is keep also storage.objects.create and storage.objects.delete"
	}
	return e
}
