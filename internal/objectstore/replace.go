package objectstore

import (
	"errors"
	"os"
	"path/filepath"
)

// Replacer is an Upload that can take the place of an object: the one exception to
// objects never being overwritten, for what must be erased.
type Replacer interface {
	// Replace makes the upload durable and visible under key in place of the object
	// there (ErrNotFound without one), then overwrites the last destroy bytes of what
	// that was. Killed at any point it leaves one of the two, whole.
	Replace(key string, destroy int64) error
}

var _ Replacer = (*upload)(nil)

// Replace renames the upload over the object, of which an open file remains to be
// destroyed.
func (u *upload) Replace(key string, destroy int64) error {
	defer u.Abort()
	name, err := u.folder.file(key)
	if err != nil {
		return err
	}
	old, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return failed("open the object to be replaced", err)
	}
	defer func() { _ = old.Close() }()
	if err := u.file.Sync(); err != nil {
		return failed("make an object durable", err)
	}
	if err := os.Rename(u.file.Name(), name); err != nil {
		return failed("replace an object", err)
	}
	if err := syncDir(filepath.Dir(name)); err != nil {
		return failed("make an object durable", err)
	}
	info, err := old.Stat()
	if err != nil {
		return failed("destroy what an object was", err)
	}
	size := min(destroy, info.Size())
	_, err = old.WriteAt(make([]byte, size), info.Size()-size)
	return failed("destroy what an object was", errors.Join(err, old.Sync()))
}
