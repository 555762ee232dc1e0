package connectors

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// clockGrain is how coarsely file systems and protocols keep times.
const clockGrain = 2 * time.Second

// claim is what a manifest says of one file.
type claim struct {
	line
	complete bool // every file of the manifest is there
}

// complete reports whether the sender says that o is complete, and notes what it
// says of it. A companion older than its file speaks of an earlier file of the
// same name.
func (d *Drop) complete(ctx context.Context, listing map[string]File, claims map[string]claim, o *offer) (bool, error) {
	suffix := d.Ready.companion()
	if suffix == "" && d.Ready.Control.File != "" {
		c, ok := claims[o.Name]
		if ok {
			o.line = c.line
		}
		return ok && c.complete, nil
	}
	if suffix == "" {
		age := d.Runtime.Now().Sub(o.Modified)
		return age < 0 || age >= d.Ready.StableFor, nil
	}
	companion, ok := listing[o.Name+suffix]
	if !ok || companion.Modified.Add(clockGrain).Before(o.Modified) {
		return false, nil
	}
	if d.Ready.Marker != "" {
		return true, nil
	}
	text, err := d.small(ctx, companion)
	if err != nil {
		return false, d.placed(err, o.item)
	}
	l, ok := d.Ready.Control.about(o.Name, text)
	if !ok || d.Ready.Checksum != "" && l.sum == "" {
		d.Runtime.Log.Warn("the checksum or control file says nothing of its file", "item", short(o.item))
		return false, nil
	}
	o.line = l
	return l.bytes < 0 || l.bytes == o.Size, nil
}

// small reads a file that says something of others; nothing where it has gone or
// is too large to be one.
func (d *Drop) small(ctx context.Context, f File) ([]byte, error) {
	if f.Size > maxControl {
		return nil, nil
	}
	r, err := d.Place.Open(ctx, f.Name, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxControl))
}

// manifest is a file that lists others.
type manifest struct {
	File
	lines []line
}

// manifests reads those of the listing, oldest first. One that makes no sense
// (yet) lists nothing.
func (d *Drop) manifests(ctx context.Context, listing map[string]File) (all []manifest, err error) {
	var found []File
	for name, f := range listing {
		if d.Ready.Control.lists(name) {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b File) int { return oldestFirst(offer{File: a}, offer{File: b}) })
	for _, f := range found {
		text, err := d.small(ctx, f)
		if err != nil {
			return nil, err
		}
		m := manifest{f, d.Ready.Control.parse(text)}
		if m.lines == nil {
			d.Runtime.Log.Warn("a manifest says nothing of any file", "item", short(d.Runtime.Digest(f.Name)))
		}
		all = append(all, m)
	}
	return all, nil
}

// claims is what the manifests say of files; the youngest manifest counts.
func (d *Drop) claims(ctx context.Context, listing map[string]File, after Cursor) (map[string]claim, error) {
	if d.Ready.Control.File == "" || d.Ready.companion() != "" {
		return nil, nil
	}
	manifests, err := d.manifests(ctx, listing)
	claims := map[string]claim{}
	for _, m := range manifests {
		complete := true
		for _, l := range m.lines {
			complete = complete && (m.there(listing, l) || d.gone(listing, after, l))
		}
		for _, l := range m.lines {
			claims[l.name] = claim{l, complete}
		}
	}
	return claims, err
}

// there reports whether a file of the manifest has come: not an earlier one of its
// name, nor a part of it.
func (m manifest) there(listing map[string]File, l line) bool {
	f, ok := listing[l.name]
	return ok && (l.bytes < 0 || l.bytes == f.Size) && !m.Modified.Add(clockGrain).Before(f.Modified)
}

// gone reports whether a file of a manifest is durable and was taken away. Only
// its checksum can tell it from an earlier file of its name.
func (d *Drop) gone(listing map[string]File, durable Cursor, l line) bool {
	_, there := listing[l.name]
	folder, _ := path.Split(d.Path)
	return !there && l.sum != "" && strings.HasSuffix(durable.Known[d.Runtime.Digest(folder+l.name)], ":"+l.sum)
}

// doneManifests yields the manifests of which nothing is left.
func (d *Drop) doneManifests(ctx context.Context, listing map[string]File, durable Cursor, yield func(Delivery, error) bool) {
	manifests, err := d.manifests(ctx, listing)
	if err != nil {
		yield(Delivery{}, err)
		return
	}
	for _, m := range manifests {
		left := slices.ContainsFunc(m.lines, func(l line) bool { return !d.gone(listing, durable, l) })
		o := offer{File: m.File, item: d.Runtime.Digest(m.Name), path: m.Name}
		if m.lines != nil && !left && !yield(d.delivery(o), nil) {
			return
		}
	}
}

// recent reports whether the clocks could be wrong about o having been left alone
// for long enough.
func (d *Drop) recent(o offer) bool {
	age := d.Runtime.Now().Sub(o.Modified)
	return age < 0 || age < d.Ready.StableFor+d.Skew && d.Skew > 0
}
