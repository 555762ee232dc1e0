package connectors

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"longitude/study"
)

// Place is the one flat folder that a drop is in. Names are plain file names.
// Errors are safe to print: they never contain a name. What does not exist
// answers an error that is fs.ErrNotExist.
type Place interface {
	// List names the regular files; half a listing is an error.
	List(ctx context.Context) ([]File, error)
	Stat(ctx context.Context, name string) (File, error)
	// Open reads a file from an offset on.
	Open(ctx context.Context, name string, from int64) (io.ReadCloser, error)
	// Remove and Archive delete a file or move it to the archive, over a
	// file of the same name there.
	Remove(ctx context.Context, name string) error
	Archive(ctx context.Context, name string) error
}

// File is one regular file of a place.
type File struct {
	Name     string
	Size     int64
	Modified time.Time
	Revision string // where the place numbers what it holds under a name; else ""
}

func (f File) same(g File) bool {
	return f.Size == g.Size && f.Modified.Equal(g.Modified) && f.Revision == g.Revision
}

// Drop is a folder where files are left to be picked up. It decides what is a
// delivery, when it is complete, in which order deliveries come and whether the
// bytes that arrived are the bytes that were offered; a Place does the rest.
type Drop struct {
	Place   Place
	Path    string // folder and pattern, e.g. "/outgoing/*.csv"
	Ready   Ready
	After   string
	Unpack  Unpack
	Skew    time.Duration // how far the clock of the place may be off ours
	Runtime Runtime
}

// offer is a file that could be delivered.
type offer struct {
	File
	path, item string
	line       // what its sender says of it
}

func (o offer) version() string {
	v := strconv.FormatInt(o.Size, 10) + ":"
	if o.Revision != "" {
		v += o.Revision
	} else {
		v += strconv.FormatInt(o.Modified.UnixNano(), 10)
	}
	if o.sum != "" {
		v += ":" + o.sum
	}
	return v
}

// Pull implements Source.
func (d *Drop) Pull(ctx context.Context, after Cursor) iter.Seq2[Delivery, error] {
	return func(yield func(Delivery, error) bool) {
		offers, err := d.offers(ctx, after)
		if err != nil {
			yield(Delivery{}, err)
			return
		}
		for _, o := range offers {
			if err := ctx.Err(); err != nil {
				yield(Delivery{}, err)
				return
			}
			if !d.give(ctx, o, after, yield) {
				return
			}
		}
	}
}

// give yields what is in a file and not durable yet.
func (d *Drop) give(ctx context.Context, o offer, after Cursor, yield func(Delivery, error) bool) bool {
	if !zipped(o.Name) {
		return yield(d.delivery(o), nil)
	}
	box, err := d.unzip(ctx, o)
	if err != nil {
		broken := d.delivery(o)
		broken.Open = func(context.Context) (io.ReadCloser, error) { return nil, d.placed(err, o.item) }
		return yield(broken, nil)
	}
	defer func() { _ = box.Close() }() // what it held is gone either way
	for _, member := range box.pending(after) {
		if !yield(member, nil) {
			return false
		}
	}
	return true
}

// offers lists what is complete and new after the cursor, oldest first.
func (d *Drop) offers(ctx context.Context, after Cursor) ([]offer, error) {
	listing, err := d.list(ctx)
	if err != nil {
		return nil, err
	}
	claims, err := d.claims(ctx, listing, after)
	if err != nil {
		return nil, err
	}
	var offers, doubtful []offer
	waiting := 0
	for _, o := range d.matching(listing) {
		complete, err := d.complete(ctx, listing, claims, &o)
		switch {
		case err != nil:
			return nil, err
		case after.settled(o.item, o.version()):
		case !complete:
			waiting++
		case d.Ready.StableFor > 0 && d.recent(o):
			doubtful = append(doubtful, o)
		default:
			offers = append(offers, o)
		}
	}
	stable, err := d.lookAgain(ctx, doubtful)
	if err != nil {
		return nil, err
	}
	if waiting += len(doubtful) - len(stable); waiting > 0 {
		d.Runtime.Log.Info("files are not ready yet", "files", waiting)
	}
	return append(offers, stable...), nil // the doubtful ones are the youngest
}

func oldestFirst(a, b offer) int {
	return cmp.Or(a.Modified.Compare(b.Modified), cmp.Compare(a.Name, b.Name))
}

// list is the listing of the place by name.
func (d *Drop) list(ctx context.Context) (map[string]File, error) {
	files, err := d.Place.List(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]File, len(files))
	for _, f := range files {
		byName[f.Name] = f
	}
	return byName, nil
}

// matching is every file that could be a delivery, complete or not, oldest first.
func (d *Drop) matching(listing map[string]File) (offers []offer) {
	folder, pattern := path.Split(d.Path)
	for name, f := range listing {
		if ok, err := path.Match(pattern, name); err != nil || !ok || !d.Ready.delivers(name) {
			continue
		}
		full := folder + name
		offers = append(offers, offer{File: f, path: full, item: d.Runtime.Digest(full), line: line{rows: -1, bytes: -1}})
	}
	slices.SortFunc(offers, oldestFirst)
	return offers
}

// lookAgain waits and keeps the offers that did not change meanwhile, whatever
// the clock of the place says.
func (d *Drop) lookAgain(ctx context.Context, doubtful []offer) ([]offer, error) {
	if len(doubtful) == 0 {
		return nil, nil
	}
	if err := d.Runtime.Sleep(ctx, d.Ready.StableFor); err != nil {
		return nil, err
	}
	listing, err := d.list(ctx)
	return slices.DeleteFunc(slices.Clone(doubtful), func(o offer) bool {
		now, ok := listing[o.Name]
		return !ok || !now.same(o.File)
	}), err
}

// delivery offers a file that holds one object.
func (d *Drop) delivery(o offer) Delivery {
	size := o.Size
	if packed(o.Name) {
		size = -1
	}
	var raw *verified
	return Delivery{
		Item: o.item, Name: o.path, Version: o.version(), Size: size, Modified: o.Modified, Rows: o.told(),
		Open: func(ctx context.Context) (r io.ReadCloser, err error) {
			if raw, err = d.open(ctx, o); err == nil {
				r, err = d.unpacked(raw, o.Name)
			}
			return r, d.placed(err, o.item)
		},
		File: func() (int64, string) { return o.Size, raw.sum256() },
	}
}

// told is the number of rows that the sender tells, or nil.
func (o offer) told() *int64 {
	if o.rows < 0 {
		return nil
	}
	return &o.rows
}

// Acknowledge implements Acknowledger: it archives or deletes the file, unless it
// has changed since it was delivered. Its companion goes first: were it left
// alone, it would make the next file of that name look complete.
func (d *Drop) Acknowledge(ctx context.Context, delivered Delivery) error {
	settle := d.Place.Remove
	if ArchiveFolder(d.After) != "" {
		settle = d.Place.Archive
	} else if d.After != AfterDelete {
		return nil
	}
	if w := delivered.Whole; w != nil {
		if !w.Last {
			return nil // the file holds more
		}
		delivered.Name, delivered.Version = w.Name, w.Version
	}
	name := path.Base(delivered.Name)
	now, err := d.Place.Stat(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return d.placed(err, delivered.Item)
	}
	if !(offer{File: now}).is(delivered.Version) {
		return nil // a newer version, to be delivered itself
	}
	names := []string{name}
	if suffix := d.Ready.companion(); suffix != "" && !d.Ready.Control.lists(name) {
		names = []string{name + suffix, name}
	}
	for _, n := range names {
		if err := settle(ctx, n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return d.placed(err, delivered.Item)
		}
	}
	return nil
}

// is reports whether o could be what a delivery of this version offered, leaving
// the checksum aside where o has none.
func (o offer) is(version string) bool {
	v := o.version()
	return version == v || o.sum == "" && strings.HasPrefix(version, v+":")
}

// Unacknowledged implements Recoverer. A manifest is done with once every file
// that it lists is durable and gone.
func (d *Drop) Unacknowledged(ctx context.Context, durable Cursor) iter.Seq2[Delivery, error] {
	return func(yield func(Delivery, error) bool) {
		if d.After == AfterKeep {
			return
		}
		listing, err := d.list(ctx)
		if err != nil {
			yield(Delivery{}, err)
			return
		}
		for _, o := range d.matching(listing) {
			version := durable.Known[o.item]
			if !o.is(version) {
				continue
			}
			left := d.delivery(o)
			left.Version = version
			if !yield(left, nil) {
				return
			}
		}
		d.doneManifests(ctx, listing, durable, yield)
	}
}

// placed adds to an error which item it is about.
func (d *Drop) placed(err error, item string) error {
	var e *study.Error
	if !errors.As(err, &e) || e.Place != "" {
		return err
	}
	told := *e
	told.Place = "item " + short(item)
	var refused *Refused
	if errors.As(err, &refused) {
		return &Refused{&told}
	}
	return &told
}

// short is as much of a digest as people compare.
func short(item string) string { return item[:min(12, len(item))] }
