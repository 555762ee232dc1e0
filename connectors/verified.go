package connectors

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"strings"

	"longitude/study"
)

// maxSumFile bounds a checksum file: a digest and a file name fit easily.
const maxSumFile = 8 << 10

// readSum reads the checksum file of the named file: the hex SHA-256, or "" when
// the file does not hold one (yet).
func (d *Drop) readSum(ctx context.Context, companion File, name string) (string, error) {
	if companion.Size > maxSumFile {
		return "", nil
	}
	r, err := d.Place.Open(ctx, companion.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxSumFile))
	if err != nil {
		return "", err
	}
	return parseSum(string(text), name), nil
}

// unescape undoes what sha256sum does to a name with a backslash or a line break,
// after which its line begins with a backslash.
var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r")

// parseSum takes the hex digest of the named file from what sha256sum prints
// ("hex  name" or "hex *name", one line) or from a digest alone; "" if it is neither.
func parseSum(text, name string) string {
	text, escaped := strings.CutPrefix(strings.TrimRight(text, "\r\n"), `\`)
	sum, of, named := strings.Cut(text, " ")
	if escaped {
		of = unescape.Replace(of)
	}
	sum = strings.ToLower(sum)
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
		return ""
	}
	if of = strings.TrimLeft(of, " *"); named && of[strings.LastIndex(of, "/")+1:] != name {
		return ""
	}
	return sum
}

// open starts reading o, if it is still the file that was listed.
func (d *Drop) open(ctx context.Context, o offer) (io.ReadCloser, error) {
	now, err := d.Place.Stat(ctx, o.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errVanished
	}
	if err != nil {
		return nil, err
	}
	if !now.same(o.File) {
		return nil, errChanged
	}
	r, err := d.Place.Open(ctx, o.Name)
	if err != nil {
		return nil, err
	}
	v := &verified{ctx: ctx, drop: d, offer: o, from: r}
	if o.sum != "" {
		v.hash = sha256.New()
	}
	return v, nil
}

// verified reads an offer and ends in io.EOF only when all of its bytes, and no
// others, have arrived.
type verified struct {
	ctx   context.Context // of Open: ends the reading
	drop  *Drop
	offer offer
	from  io.ReadCloser
	n     int64
	hash  hash.Hash // nil without a checksum
	err   error     // what reading ended in
}

func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.from.Read(p)
	v.n += int64(n)
	if v.hash != nil {
		v.hash.Write(p[:n])
	}
	switch {
	case v.ctx.Err() != nil:
		err = v.ctx.Err()
	case v.n > v.offer.Size:
		err = errChanged
	case errors.Is(err, io.EOF):
		err = v.verify()
	}
	v.err = v.drop.placed(err, v.offer.item)
	return n, v.err
}

func (v *verified) Close() error { return v.from.Close() }

// verify answers io.EOF when what was read is what was offered.
func (v *verified) verify() error {
	now, err := v.drop.Place.Stat(v.ctx, v.offer.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errVanished
	case err != nil:
		return err
	case v.n != v.offer.Size || !now.same(v.offer.File):
		return errChanged
	case v.hash != nil && hex.EncodeToString(v.hash.Sum(nil)) != v.offer.sum:
		return errChecksum
	}
	return io.EOF
}

var (
	errChanged = &study.Error{Code: "drop.changed", Op: "read a file that changed meanwhile", Temporary: true,
		Hint: "the next run reads it again; if it keeps happening, have the sender write under another name and rename, or use ready: {marker: .done}"}
	errVanished = &study.Error{Code: "drop.vanished", Op: "read a file that has gone meanwhile", Temporary: true,
		Hint: "nothing to do unless somebody else empties this folder too"}
	errChecksum = &study.Error{Code: "drop.checksum_mismatch", Op: "compare a file with its checksum: the bytes differ",
		Hint: "ask the sender to deliver the file and its checksum again"}
)
