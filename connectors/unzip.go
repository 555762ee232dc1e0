package connectors

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"longitude/study"
)

// box is a .zip that has arrived, was found safe and read once to its end.
type box struct {
	drop    *Drop
	offer   offer
	sum     string // SHA-256 of the file as it stood at its place
	held    *spool
	members []*zip.File
}

// maxDirectory bounds what the list of members may weigh, for each of them.
const maxDirectory = 1 << 10

// unzip fetches a file whole, because a zip begins at its end, and reads every
// member once: nothing of it is delivered unless all of it can be.
func (d *Drop) unzip(ctx context.Context, o offer) (_ *box, err error) {
	raw, err := d.open(ctx, o)
	if err != nil {
		return nil, err
	}
	from, err := d.unpacked(raw, o.Name)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	held, err := newSpool()
	if err != nil {
		return nil, err
	}
	b := &box{drop: d, offer: o, held: held}
	defer func() {
		if err != nil {
			_ = b.Close()
		}
	}()
	if _, err := io.Copy(held, from); err != nil {
		return nil, err
	}
	b.sum = raw.sum256()
	if err := b.look(); err != nil {
		return nil, err
	}
	return b, b.test(ctx)
}

// look reads the list of members and finds it safe.
func (b *box) look() error {
	limit := b.drop.Unpack
	list := &budget{r: b.held, left: int64(limit.members())*maxDirectory + 1<<17}
	z, err := zip.NewReader(list, b.held.Size())
	switch {
	case list.left < 0:
		return errMany
	case err != nil:
		return errCorrupt
	case len(z.File) > limit.members():
		return errMany
	}
	z, err = zip.NewReader(b.held, b.held.Size())
	if err != nil {
		return errCorrupt
	}
	seen := map[string]bool{}
	for _, f := range z.File {
		if f.FileInfo().IsDir() && safe(strings.TrimSuffix(f.Name, "/")) {
			continue
		}
		switch {
		case !safe(f.Name) || !f.Mode().IsRegular() || seen[f.Name]:
			return errUnsafe
		case f.Flags&1 != 0:
			return errLocked
		case ends(f.Name, nested...):
			return errNested
		}
		seen[f.Name] = true
		if ok, err := path.Match(limit.Members, path.Base(f.Name)); limit.Members == "" || ok && err == nil {
			b.members = append(b.members, f)
		}
	}
	if len(b.members) == 0 {
		return errEmpty
	}
	return nil
}

// safe reports whether the name of a member is a plain relative path on every
// system.
func safe(name string) bool {
	return filepath.IsLocal(name) && path.Clean(name) == name && name != "." && len(name) <= 1<<10 &&
		!strings.ContainsAny(name, `\:`) && !strings.ContainsFunc(name, unicode.IsControl)
}

// test reads every member to its end, within the limits of the file as a whole.
func (b *box) test(ctx context.Context) error {
	limit := b.drop.Unpack
	left := min(limit.bytes(), limit.ratio()*b.offer.Size+free)
	for _, f := range b.members {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := f.Open()
		if err != nil {
			return errCorrupt
		}
		n, err := io.Copy(io.Discard, io.LimitReader(r, left+1))
		_ = r.Close()
		if left -= n; left < 0 && limit.bytes() <= limit.ratio()*b.offer.Size+free {
			return errTooLarge
		}
		if left < 0 {
			return errBomb
		}
		if err != nil || n != int64(f.UncompressedSize64) {
			return errCorrupt
		}
	}
	return nil
}

// pending are the deliveries that are not durable yet, in the order of the archive.
func (b *box) pending(after Cursor) (all []Delivery) {
	for _, f := range b.members {
		name := b.offer.path + "!/" + f.Name
		member := Delivery{
			Item: b.drop.Runtime.Digest(name), Name: name, Modified: b.offer.Modified, Size: int64(f.UncompressedSize64),
			Version: strconv.FormatUint(f.UncompressedSize64, 10) + ":" + strconv.FormatUint(uint64(f.CRC32), 16) + ":" + b.sum,
			Whole:   &Whole{Item: b.offer.item, Name: b.offer.path, Version: b.offer.version(), Size: b.offer.Size, Modified: b.offer.Modified, Sum: b.sum},
			Open:    func(ctx context.Context) (io.ReadCloser, error) { return b.open(ctx, f) },
		}
		if len(b.members) == 1 {
			member.Rows = b.offer.told()
		}
		if !after.Has(member.Item, member.Version) {
			all = append(all, member)
		}
	}
	if len(all) == 0 { // a person asked for the file again
		return b.pending(Cursor{})
	}
	all[len(all)-1].Whole.Last = true
	return all
}

func (b *box) open(ctx context.Context, f *zip.File) (io.ReadCloser, error) {
	r, err := f.Open()
	if err != nil {
		return nil, b.drop.placed(errCorrupt, b.offer.item)
	}
	return &member{ctx, b, r}, nil
}

// Close destroys what was held.
func (b *box) Close() error { return b.held.Close() }

// member reads one file of a zip.
type member struct {
	ctx context.Context // of Open
	box *box
	io.ReadCloser
}

func (m *member) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	var told *study.Error
	switch {
	case m.ctx.Err() != nil:
		err = m.ctx.Err()
	case err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &told):
		err = m.box.drop.placed(errCorrupt, m.box.offer.item)
	}
	return n, err
}

// budget is a reader that gives up after so many bytes.
type budget struct {
	r    io.ReaderAt
	left int64
}

func (b *budget) ReadAt(p []byte, at int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return b.r.ReadAt(p, at)
}
