package objectstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"cloud.google.com/go/storage"
)

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

// Replace uploads the bytes on the condition that the object is still the generation
// that was looked at, and deletes that, which a bucket with versions keeps.
func (u *gcsUpload) Replace(key string, _ int64) error {
	defer u.Abort()
	before, err := u.store.attrs(u.ctx, key)
	if err != nil {
		return err
	}
	err = u.store.upload(u.ctx, key, storage.Conditions{GenerationMatch: before.Generation}, u.content())
	if errors.Is(err, ErrExists) {
		return gcsError("objectstore.replaced", "replace an object: another process did meanwhile", "run it again", true)
	}
	if err != nil {
		return err
	}
	o, err := u.store.object(key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(u.ctx, patience)
	defer cancel()
	err = gcsFailed(ctx, "destroy what an object was", o.Generation(before.Generation).Delete(ctx))
	if errors.Is(err, ErrNotFound) {
		return nil // the bucket keeps no versions
	}
	return err
}
