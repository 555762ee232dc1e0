package objectstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"longitude/study"
)

// upload is a file under .uploads that its writer holds locked. The lock ends
// with the process, so that a file which can be locked belongs to nobody: no
// clock and no process number is asked, which differ between containers.
type upload struct {
	folder *Folder
	file   *os.File
	done   bool
}

func (f *Folder) Create(context.Context) (Upload, error) {
	dir := filepath.Join(f.dir, uploads)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, failed("begin an object", err)
	}
	for {
		file, err := os.CreateTemp(dir, "*")
		if err != nil {
			return nil, failed("begin an object", err)
		}
		err = lock(file)
		if err == nil && linked(file) {
			return &upload{folder: f, file: file}, nil
		}
		_ = file.Close()
		// A sweep that came between the creation and the lock took the file.
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = os.Remove(file.Name())
			return nil, failed("lock an upload", err)
		}
	}
}

func lock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// linked reports whether file is still what its name leads to.
func linked(file *os.File) bool {
	own, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(file.Name())
	return err == nil && os.SameFile(own, named)
}

func (u *upload) Write(p []byte) (int, error) {
	n, err := u.file.Write(p)
	return n, failed("write an object", err)
}

// Commit syncs the bytes, then links them under the key, which fails when the
// key is taken, then syncs the folders that changed.
func (u *upload) Commit(key string) error {
	defer u.Abort()
	name, err := u.folder.file(key)
	if err != nil {
		return err
	}
	if err := u.file.Sync(); err != nil {
		return failed("make an object durable", err)
	}
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return failed("create the folder of an object", err)
	}
	if err := os.Link(u.file.Name(), name); err != nil {
		return failed("store an object", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if err := syncDir(dir); err != nil {
			return failed("make an object durable", err)
		}
		if dir == u.folder.dir || dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (u *upload) Abort() {
	if u.done {
		return
	}
	u.done = true
	_ = os.Remove(u.file.Name())
	_ = u.file.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Sweep removes the uploads of writers that died; those being written are locked.
func (f *Folder) Sweep(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(f.dir, uploads))
	if err != nil {
		return failed("look for left-over uploads", err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		file, err := os.Open(filepath.Join(f.dir, uploads, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // committed or aborted meanwhile
		}
		if err != nil {
			return failed("look at a left-over upload", err)
		}
		if lock(file) == nil {
			err = os.Remove(file.Name())
		}
		_ = file.Close()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return &study.Error{Code: "objectstore.sweep", Op: "remove a left-over upload", Exit: study.ExitEnvironment,
				Hint: "check the folder's owner and rights"}
		}
	}
	return nil
}
