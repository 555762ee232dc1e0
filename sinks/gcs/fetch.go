package gcs

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"longitude/internal/objectstore"
	"longitude/sinks"
	"longitude/study"
)

// fetch copies the wanted files of a release from the bucket into a folder. The
// location is that of the release, or of current, which is followed.
func fetch(ctx context.Context, location, into string, wanted func(path string) bool) error {
	within, name := path.Split(strings.TrimRight(strings.TrimPrefix(location, scheme), "/"))
	if !place.MatchString(location) || within == "" {
		return &study.Error{Code: "sink.location", Op: "fetching a release: its location is not of the form gs://BUCKET/…/STUDY/RELEASE", Exit: study.ExitUsage,
			Hint: "`longitude release list` prints the locations"}
	}
	store, err := objectstore.OpenGCS(ctx, scheme+within, "")
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	if name == sinks.Current {
		if _, name, err = newest(ctx, store, name); err != nil {
			return err
		}
	}
	var files []objectstore.Stored
	if name != "" {
		if files, err = store.Listing(ctx, name+"/"); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(files, func(f objectstore.Stored) bool { return f.Key == name+"/"+sinks.Envelope }) {
		return &study.Error{Code: "sink.no_release", Op: "fetching a release: there is no " + sinks.Envelope + " at this location", Exit: study.ExitEnvironment,
			Hint: "`longitude release list` prints the locations; a release without it is not published yet"}
	}
	return copyAll(ctx, store, name+"/", files, into, wanted)
}

// copyAll copies files side by side. What is below the prefix and cannot be a file
// is refused: nothing of a release has such a name.
func copyAll(ctx context.Context, store *objectstore.GCS, prefix string, files []objectstore.Stored, into string, wanted func(path string) bool) error {
	root, err := os.OpenRoot(into)
	if err != nil {
		return unwritable()
	}
	defer func() { _ = root.Close() }()
	crew := newCrew(ctx)
	for _, f := range files {
		at := strings.TrimPrefix(f.Key, prefix)
		if strings.HasSuffix(f.Key, "/") || wanted != nil && !wanted(at) {
			continue // the placeholder of a folder, or of no interest
		}
		if path.Clean(at) != at || !filepath.IsLocal(filepath.FromSlash(at)) || strings.Contains("/"+at, "/.") {
			err = &study.Error{Code: "sink.foreign", Op: "fetching a release: an object beside its files has a name that no file can have", Exit: study.ExitBlocked,
				Hint: "do not use it: somebody else wrote there; tell who published it"}
			break
		}
		if err = crew.do(ctx, func(ctx context.Context) error { return copyOne(ctx, store, f, root, at) }); err != nil {
			break
		}
	}
	if err != nil {
		crew.stop()
	}
	if failed := crew.wait(); err == nil {
		err = failed
	}
	return err
}

// copyOne copies an object and compares it with the bucket's checksum.
func copyOne(ctx context.Context, store *objectstore.GCS, f objectstore.Stored, root *os.Root, at string) error {
	if err := root.MkdirAll(path.Dir(at), 0o755); err != nil {
		return unwritable()
	}
	to, err := root.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return unwritable()
	}
	defer func() { _ = to.Close() }()
	from, err := store.Open(ctx, f.Key)
	if err != nil {
		return lost(err)
	}
	defer func() { _ = from.Close() }()
	sum := objectstore.CRC32C()
	if _, err := io.Copy(io.MultiWriter(to, sum), io.NewSectionReader(from, 0, from.Size())); err != nil {
		var known *study.Error
		if errors.As(err, &known) || ctx.Err() != nil {
			return err
		}
		return unwritable()
	}
	if sum.Sum32() != f.CRC32C || from.Size() != f.Size {
		return &study.Error{Code: "sink.garbled", Op: "fetching a release: other bytes came than the bucket holds", Temporary: true, Exit: study.ExitEnvironment,
			Hint: "run again; if it stays so, look for a proxy between here and storage.googleapis.com"}
	}
	if to.Close() != nil {
		return unwritable()
	}
	return nil
}

func unwritable() error {
	return &study.Error{Code: "sink.unwritable", Op: "fetching a release: its files cannot be written to the temporary folder", Exit: study.ExitEnvironment,
		Hint: "free space there, or set TMPDIR to a folder with room for the release"}
}
