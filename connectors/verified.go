package connectors

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // a sender's MD5 shows accidents; nothing is trusted by it
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"time"

	"longitude/study"
)

// open starts reading o as it stands at its place, if it is still the file that
// was listed.
func (d *Drop) open(ctx context.Context, o offer) (*verified, error) {
	if err := d.still(ctx, o); err != nil {
		return nil, err
	}
	r, err := d.Place.Open(ctx, o.Name, 0)
	if err != nil {
		return nil, err
	}
	v := &verified{ctx: ctx, drop: d, offer: o, from: r, hash: sha256.New()}
	if len(o.sum) == hex.EncodedLen(md5Size) {
		v.other = md5.New() //nolint:gosec // see above
	}
	return v, nil
}

// still reports whether o is still the file that was listed.
func (d *Drop) still(ctx context.Context, o offer) error {
	now, err := d.Place.Stat(ctx, o.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errVanished
	case err != nil:
		return err
	case !now.same(o.File):
		return errChanged
	}
	return nil
}

// verified reads an offer and ends in io.EOF only when all of its bytes, and no
// others, have arrived. Where the transfer breaks it goes on behind what has come.
type verified struct {
	ctx   context.Context // of Open: ends the reading
	drop  *Drop
	offer offer
	from  io.ReadCloser
	n     int64
	hash  hash.Hash
	other hash.Hash // what the sender's checksum is of; nil = hash
	tail  []byte    // the last bytes that came, as many as are compared on going on
	err   error     // what reading ended in

	breaks int   // in a row, without a byte between them
	broken int64 // where it broke last
}

func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.from.Read(p)
	v.take(p[:n])
	switch {
	case v.ctx.Err() != nil:
		err = v.ctx.Err()
	case v.n > v.offer.Size:
		err = errChanged
	case errors.Is(err, io.EOF):
		err = v.verify()
	case study.IsTemporary(err):
		err = v.resume(err)
	}
	v.err = v.drop.placed(err, v.offer.item)
	return n, v.err
}

func (v *verified) take(p []byte) {
	v.n += int64(len(p))
	v.hash.Write(p)
	if v.other != nil {
		v.other.Write(p)
	}
	p = p[max(0, len(p)-overlap):]
	keep := v.tail[max(0, len(v.tail)+len(p)-overlap):]
	v.tail = append(v.tail[:copy(v.tail, keep)], p...)
}

func (v *verified) Close() error { return v.from.Close() }

// verify answers io.EOF when what was read is what was offered.
func (v *verified) verify() error {
	if err := v.drop.still(v.ctx, v.offer); err != nil {
		return err
	}
	told := v.hash
	if v.other != nil {
		told = v.other
	}
	switch {
	case v.n != v.offer.Size:
		return errChanged
	case v.offer.sum != "" && hex.EncodeToString(told.Sum(nil)) != v.offer.sum:
		return errChecksum
	}
	return io.EOF
}

// sum256 is the SHA-256 of what was read, in hex; "" unless it was read to its end.
func (v *verified) sum256() string {
	if v == nil || !errors.Is(v.err, io.EOF) {
		return ""
	}
	return hex.EncodeToString(v.hash.Sum(nil))
}

// A broken transfer goes on where it broke. The last bytes that came are read once
// more and compared: with size and time, and the sender's checksum where there is
// one, they tell whether it is the same file still.
const (
	overlap   = 4 << 10
	maxBreaks = 4
)

// resume opens the file again behind the bytes that have come. It answers nil when
// reading can go on, else why not.
func (v *verified) resume(why error) error {
	if v.n > v.broken {
		v.breaks = 0
	}
	v.broken = v.n
	_ = v.from.Close()
	for wait := time.Second; v.breaks < maxBreaks; wait *= 2 {
		v.breaks++
		if err := v.drop.Runtime.Sleep(v.ctx, wait/2); err != nil {
			return err
		}
		if why = v.reopen(); !study.IsTemporary(why) || errors.Is(why, errChanged) || errors.Is(why, errVanished) {
			return why
		}
	}
	return why
}

func (v *verified) reopen() error {
	if err := v.drop.still(v.ctx, v.offer); err != nil {
		return err
	}
	r, err := v.drop.Place.Open(v.ctx, v.offer.Name, v.n-int64(len(v.tail)))
	if err != nil {
		return err
	}
	again := make([]byte, len(v.tail))
	if _, err := io.ReadFull(r, again); err != nil || !bytes.Equal(again, v.tail) {
		_ = r.Close()
		if study.IsTemporary(err) {
			return err
		}
		return errChanged
	}
	v.from = r
	return nil
}

var (
	errChanged = &study.Error{Code: "drop.changed", Op: "read a file that changed meanwhile", Temporary: true,
		Hint: "the next run reads it again; if it keeps happening, have the sender write under another name and rename, or use ready: {marker: .done}"}
	errVanished = &study.Error{Code: "drop.vanished", Op: "read a file that has gone meanwhile", Temporary: true,
		Hint: "nothing to do unless somebody else empties this folder too"}
	errChecksum = &Refused{&study.Error{Code: "drop.checksum_mismatch", Op: "compare a file with its checksum: the bytes differ",
		Hint: "ask the sender to deliver the file and its checksum again"}}
)
