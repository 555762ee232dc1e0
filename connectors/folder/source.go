package folder

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"longitude/connectors"
	"longitude/study"
)

// source is a drop in a local folder.
type source struct {
	connectors.Drop
	place *place
}

func open(c Config, rt connectors.Runtime) (connectors.Source, error) {
	p := &place{folder: absolute(path.Dir(c.Path), rt.Dir)}
	if archive := connectors.ArchiveFolder(c.After); archive != "" {
		p.archive = absolute(archive, rt.Dir)
	}
	return &source{place: p, Drop: connectors.Drop{
		Place: p, Path: c.Path, Ready: c.Ready.OrDefault(), After: c.After, Unpack: c.Unpack, Runtime: rt,
	}}, nil
}

func absolute(folder, dir string) string {
	if filepath.IsAbs(folder) {
		return folder
	}
	return filepath.Join(dir, folder)
}

// Check implements connectors.Source.
func (s *source) Check(ctx context.Context) error {
	_, err := s.place.List(ctx)
	return err
}

// Close implements connectors.Source.
func (s *source) Close() error { return nil }

// place is the folder itself. Every name is resolved inside it, so neither a
// name nor a symbolic link leads out.
type place struct{ folder, archive string }

// List implements connectors.Place. Symbolic links are not regular files.
func (p *place) List(ctx context.Context) ([]connectors.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(p.folder)
	if err != nil {
		return nil, explain("list the folder", err)
	}
	files := make([]connectors.File, 0, len(entries))
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // moved away since the listing
		}
		if err != nil {
			return nil, explain("list the folder", err)
		}
		files = append(files, fileOf(info))
	}
	return files, nil
}

// Stat implements connectors.Place.
func (p *place) Stat(ctx context.Context, name string) (f connectors.File, err error) {
	err = p.inside(ctx, "look at a file", func(root *os.Root) error {
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fs.ErrNotExist
		}
		f = fileOf(info)
		return nil
	})
	return f, err
}

// Open implements connectors.Place.
func (p *place) Open(ctx context.Context, name string, from int64) (r io.ReadCloser, err error) {
	err = p.inside(ctx, "open a file", func(root *os.Root) error {
		f, err := root.Open(name)
		if err == nil {
			_, err = f.Seek(from, io.SeekStart)
		}
		r = file{f}
		return err
	})
	return r, err
}

// Remove implements connectors.Place.
func (p *place) Remove(ctx context.Context, name string) error {
	return p.inside(ctx, "delete a file", func(root *os.Root) error { return root.Remove(name) })
}

// Archive implements connectors.Place. Renaming replaces in one step, so a file
// is in one of the two folders at any time; other file systems are refused.
func (p *place) Archive(ctx context.Context, name string) error {
	return p.inside(ctx, "archive a file", func(*os.Root) error {
		if err := os.MkdirAll(p.archive, 0o750); err != nil {
			return err
		}
		return os.Rename(filepath.Join(p.folder, name), filepath.Join(p.archive, name))
	})
}

// inside runs one operation inside the folder.
func (p *place) inside(ctx context.Context, op string, do func(*os.Root) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	root, err := os.OpenRoot(p.folder)
	if err != nil {
		return explain(op, err)
	}
	defer func() { _ = root.Close() }()
	return explain(op, do(root))
}

// file keeps names out of the errors of reading.
type file struct{ *os.File }

func (f file) Read(b []byte) (int, error) {
	n, err := f.File.Read(b)
	if err == io.EOF {
		return n, err
	}
	return n, explain("read a file", err)
}

func fileOf(info fs.FileInfo) connectors.File {
	return connectors.File{Name: info.Name(), Size: info.Size(), Modified: info.ModTime()}
}

// explain turns an error of the file system, which quotes names, into one that
// says what happened and nothing of the file.
func explain(op string, err error) error {
	if err == nil {
		return nil
	}
	e := &study.Error{Code: "folder.failed", Op: op, Temporary: true, Exit: study.ExitEnvironment,
		Hint: "look at the disk and the mount of the folder"}
	var cause syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Code, e.Err, e.Temporary = "folder.missing", fs.ErrNotExist, false
		e.Hint = "create the folder of path, or correct path in the source"
	case errors.Is(err, fs.ErrPermission):
		e.Code, e.Err, e.Temporary = "folder.permission_denied", fs.ErrPermission, false
		e.Hint = "allow the user of longitude to list and read the folder, and to write to it unless after is keep"
	case errors.Is(err, syscall.EXDEV):
		e.Code, e.Err, e.Temporary = "folder.archive_elsewhere", syscall.EXDEV, false
		e.Hint = "name an archive on the same file system as the folder"
	case errors.As(err, &cause):
		e.Err = cause
	}
	return e
}
