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
	Open(ctx context.Context, name string) (io.ReadCloser, error)
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
}

func (f File) same(g File) bool { return f.Size == g.Size && f.Modified.Equal(g.Modified) }

// Drop is a folder where files are left to be picked up. It decides what is a
// delivery, when it is complete, in which order deliveries come and whether the
// bytes that arrived are the bytes that were offered; a Place does the rest.
type Drop struct {
	Place   Place
	Path    string // folder and pattern, e.g. "/outgoing/*.csv"
	Ready   Ready
	After   string
	Skew    time.Duration // how far the clock of the place may be off ours
	Runtime Runtime
}

// offer is a file that could be delivered.
type offer struct {
	File
	path, item string
	sum        string // of its checksum file, hex; "" when there is none
}

func (o offer) version() string {
	v := strconv.FormatInt(o.Size, 10) + ":" + strconv.FormatInt(o.Modified.UnixNano(), 10)
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
			if !yield(d.delivery(o), nil) {
				return
			}
		}
	}
}

// offers lists what is complete and new after the cursor, oldest first.
func (d *Drop) offers(ctx context.Context, after Cursor) ([]offer, error) {
	listing, err := d.list(ctx)
	if err != nil {
		return nil, err
	}
	var offers, doubtful []offer
	waiting := 0
	for _, o := range d.matching(listing) {
		complete, err := d.complete(ctx, listing, &o)
		switch {
		case err != nil:
			return nil, err
		case after.Has(o.item, o.version()):
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
		offers = append(offers, offer{File: f, path: full, item: d.Runtime.Digest(full)})
	}
	slices.SortFunc(offers, oldestFirst)
	return offers
}

// clockGrain is how coarsely file systems and protocols keep times.
const clockGrain = 2 * time.Second

// complete reports whether the sender says that o is complete, and notes its checksum.
// A companion older than its file speaks of an earlier file of the same name.
func (d *Drop) complete(ctx context.Context, listing map[string]File, o *offer) (bool, error) {
	suffix := d.Ready.companion()
	if suffix == "" {
		age := d.Runtime.Now().Sub(o.Modified)
		return age < 0 || age >= d.Ready.StableFor, nil
	}
	companion, ok := listing[o.Name+suffix]
	if !ok || companion.Modified.Add(clockGrain).Before(o.Modified) {
		return false, nil
	}
	if d.Ready.Checksum == "" {
		return true, nil
	}
	var err error
	o.sum, err = d.readSum(ctx, companion, o.Name)
	if err == nil && o.sum == "" {
		d.Runtime.Log.Warn("the checksum file does not hold a SHA-256 of its file", "item", short(o.item))
	}
	return o.sum != "", d.placed(err, o.item)
}

// recent reports whether the clocks could be wrong about o having been left alone
// for long enough.
func (d *Drop) recent(o offer) bool {
	age := d.Runtime.Now().Sub(o.Modified)
	return age < 0 || age < d.Ready.StableFor+d.Skew && d.Skew > 0
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

func (d *Drop) delivery(o offer) Delivery {
	return Delivery{
		Item: o.item, Name: o.path, Version: o.version(), Size: o.Size, Modified: o.Modified,
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			r, err := d.open(ctx, o)
			return r, d.placed(err, o.item)
		},
	}
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
	if suffix := d.Ready.companion(); suffix != "" {
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

// Unacknowledged implements Recoverer.
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
	return &told
}

// short is as much of a digest as people compare.
func short(item string) string { return item[:min(12, len(item))] }
