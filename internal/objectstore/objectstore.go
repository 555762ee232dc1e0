// Package objectstore keeps immutable objects under slash-separated keys, behind
// one small interface. An object is absent or complete and durable; it is never
// overwritten. The stores are a folder and a bucket of Google Cloud Storage.
package objectstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"longitude/study"
)

// Answers about keys.
var (
	ErrNotFound = errors.New("no such object")
	ErrExists   = errors.New("the object exists")
)

// Store keeps immutable objects.
type Store interface {
	// Put stores what r gives under key; ErrExists when there is such an object
	// (r may then have been read or not).
	Put(ctx context.Context, key string, r io.Reader) error
	// Create begins an object whose key is known only at its end.
	Create(ctx context.Context) (Upload, error)
	// Open gives random access to an object, or ErrNotFound.
	Open(ctx context.Context, key string) (Object, error)
	// Stat is the size of an object, or ErrNotFound.
	Stat(ctx context.Context, key string) (int64, error)
	// List answers the keys that begin with prefix, ascending.
	List(ctx context.Context, prefix string) ([]string, error)
	// Sweep clears what writers that died have left.
	Sweep(ctx context.Context) error
}

// Upload is an object being written. Nothing is visible before Commit.
type Upload interface {
	io.Writer
	// Commit makes the object durable and visible under key; ErrExists, with the
	// upload forgotten, when there is such an object.
	Commit(key string) error
	// Replace makes the object durable and visible under key in place of the one there
	// (ErrNotFound without one), and destroys what that was: the one exception to
	// objects never being overwritten, for what must be erased. In a folder the last
	// destroy bytes of it are overwritten; in a bucket its generation is deleted, which
	// versioning and soft deletion must not keep. Killed at any point it leaves one of
	// the two, whole.
	Replace(key string, destroy int64) error
	// Abort forgets the upload; after Commit it does nothing.
	Abort()
}

// Object is a stored object being read.
type Object interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

var _ Store = (*Folder)(nil)

// Folder is a Store in a local folder. Only its owner can read it.
type Folder struct{ dir string }

const uploads = ".uploads" // inside the folder, so that linking stays on one file system

// Open opens the store at location, "file:<folder>", creating the folder.
func Open(location string) (*Folder, error) {
	dir, ok := strings.CutPrefix(location, "file:")
	if !ok || dir == "" {
		return nil, &study.Error{Code: "objectstore.location", Op: "open an object store: the location is not of the form file:<folder>",
			Hint: "write it like file:/srv/longitude", Exit: study.ExitUsage}
	}
	f := &Folder{dir: filepath.Clean(dir)}
	if err := os.MkdirAll(filepath.Join(f.dir, uploads), 0o700); err != nil {
		return nil, failed("create the folder "+f.dir, err)
	}
	return f, nil
}

// Dir is the folder.
func (f *Folder) Dir() string { return f.dir }

func (f *Folder) Put(ctx context.Context, key string, r io.Reader) error { return put(ctx, f, key, r) }

// put stores what r gives under key in either kind of store.
func put(ctx context.Context, s Store, key string, r io.Reader) error {
	if _, err := s.Stat(ctx, key); !errors.Is(err, ErrNotFound) {
		if err == nil {
			err = ErrExists
		}
		return err
	}
	u, err := s.Create(ctx)
	if err != nil {
		return err
	}
	defer u.Abort()
	if _, err := io.Copy(u, r); err != nil {
		return failed("write an object", err)
	}
	return u.Commit(key)
}

func (f *Folder) Open(_ context.Context, key string) (Object, error) {
	name, err := f.file(key)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, failed("open an object", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, failed("open an object", err)
	}
	return object{file, info.Size()}, nil
}

type object struct {
	*os.File
	size int64
}

func (o object) Size() int64 { return o.size }

func (f *Folder) Stat(_ context.Context, key string) (int64, error) {
	name, err := f.file(key)
	if err != nil {
		return 0, err
	}
	info, err := os.Lstat(name)
	if err != nil {
		return 0, failed("look at an object", err)
	}
	if !info.Mode().IsRegular() {
		return 0, ErrNotFound
	}
	return info.Size(), nil
}

// List answers the keys that begin with prefix, ascending.
func (f *Folder) List(ctx context.Context, prefix string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(f.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		key, err := filepath.Rel(f.dir, name)
		key = filepath.ToSlash(key)
		switch {
		case err == nil && key != "." && !clean(key) && d.IsDir():
			return fs.SkipDir
		case err == nil && d.Type().IsRegular() && clean(key) && strings.HasPrefix(key, prefix):
			out = append(out, key)
		}
		return err
	})
	slices.Sort(out) // a folder comes before what begins with its name
	return out, failed("list objects", err)
}

// file is where key is kept. Keys are relative, clean, and have no hidden part.
func (f *Folder) file(key string) (string, error) {
	if !clean(key) {
		return "", badKey()
	}
	return filepath.Join(f.dir, filepath.FromSlash(key)), nil
}

func clean(key string) bool {
	return key != "" && path.Clean(key) == key && filepath.IsLocal(key) && !strings.HasPrefix(key, ".") && !strings.Contains(key, "/.")
}

func badKey() error {
	return &study.Error{Code: "objectstore.key", Op: "use an object key: it is not a clean relative path",
		Hint: "this is a fault of the program: report it with the code"}
}

// failed gives an error of the file system its code. Keys are digests, so the
// path of a PathError tells nothing; it is left out all the same.
func failed(op string, err error) error {
	var known *study.Error
	var number syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return ErrNotFound
	case errors.Is(err, os.ErrExist):
		return ErrExists
	case errors.As(err, &known):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &study.Error{Code: "objectstore.disk_full", Op: op, Err: syscall.ENOSPC, Exit: study.ExitEnvironment,
			Hint: "free space and run again; nothing half-written is kept"}
	case errors.As(err, &number):
		return &study.Error{Code: "objectstore.io", Op: op, Err: number, Exit: study.ExitEnvironment,
			Hint: "check the folder's owner, rights and disk"}
	}
	return err
}
