package objectstore

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
)

// Stored is what a bucket says of an object.
type Stored struct {
	Key      string
	Size     int64
	CRC32C   uint32
	Metadata map[string]string
}

func (g *GCS) stored(attrs *storage.ObjectAttrs) Stored {
	return Stored{Key: strings.TrimPrefix(attrs.Name, g.prefix), Size: attrs.Size, CRC32C: attrs.CRC32C, Metadata: attrs.Metadata}
}

// Look answers what the bucket says of an object, or ErrNotFound.
func (g *GCS) Look(ctx context.Context, key string) (Stored, error) {
	attrs, err := g.attrs(ctx, key)
	if err != nil {
		return Stored{}, err
	}
	return g.stored(attrs), nil
}

// Listing answers what the bucket says of the objects whose keys begin with prefix,
// ascending.
func (g *GCS) Listing(ctx context.Context, prefix string) ([]Stored, error) {
	return g.list(ctx, prefix, "Name", "Size", "CRC32C", "Metadata")
}

// List answers the keys that begin with prefix, ascending.
func (g *GCS) List(ctx context.Context, prefix string) ([]string, error) {
	objects, err := g.list(ctx, prefix, "Name")
	keys := make([]string, 0, len(objects))
	for _, o := range objects {
		keys = append(keys, o.Key)
	}
	return keys, err
}

// list asks for the named attributes of objects. A listing that breaks gives none:
// a part of one is never taken for all of it.
func (g *GCS) list(ctx context.Context, prefix string, attributes ...string) ([]Stored, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	query := &storage.Query{Prefix: g.prefix + prefix}
	if err := query.SetAttrSelection(attributes); err != nil {
		return nil, gcsFailed(ctx, "list objects", err)
	}
	var out []Stored
	for objects := g.bucket.Objects(ctx, query); ; {
		attrs, err := objects.Next()
		if errors.Is(err, iterator.Done) {
			return out, nil
		}
		if err != nil {
			return nil, gcsFailed(ctx, "list objects", err)
		}
		out = append(out, g.stored(attrs))
	}
}

// rights are those that creating and reading objects takes.
var rights = []string{"storage.objects.create", "storage.objects.get", "storage.objects.list"}

// Usable reports whether objects can be created, read and listed here. It changes
// nothing. What knows no rights, as an emulator, is only listed.
func (g *GCS) Usable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := g.bucket.Objects(ctx, &storage.Query{Prefix: g.prefix}).Next(); err != nil && !errors.Is(err, iterator.Done) {
		return gcsFailed(ctx, "list objects", err)
	}
	granted, err := g.bucket.IAM().TestPermissions(ctx, rights)
	var answer *googleapi.Error
	if errors.As(err, &answer) && answer.Code == http.StatusNotFound {
		return nil
	}
	if err == nil && len(granted) < len(rights) {
		err = &googleapi.Error{Code: http.StatusForbidden}
	}
	return gcsFailed(ctx, "ask for the rights on the bucket", err)
}
