package connectors

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"

	"longitude/study"
)

// Unpack says how packed files are opened. The ending of a name tells how: .gz,
// .zst and .zip, and around any of them .pgp, .gpg or .asc (OpenPGP).
type Unpack struct {
	Members    string `yaml:"members" default:"all" doc:"which files of a .zip are deliveries, like *.csv; the others are left in it"`
	Key        Secret `yaml:"key" doc:"the OpenPGP private key that .pgp, .gpg and .asc files are encrypted for, armored"`
	Passphrase Secret `yaml:"passphrase" doc:"the passphrase of key, where it has one"`
	SignedBy   string `yaml:"signed_by" doc:"path of the OpenPGP public keys of the sender, armored: what is not signed by one of them is refused"`
	MaxRatio   int64  `yaml:"max_ratio" default:"100" doc:"how many times larger than the file its content may be"`
	MaxBytes   int64  `yaml:"max_bytes" default:"20 GiB" doc:"how large the content of one file may be, in bytes"`
	MaxMembers int    `yaml:"max_members" default:"10000" doc:"how many files a .zip may hold"`
}

// Limits where the configuration says nothing, and what content may be large
// whatever the ratio: a short file of zeros is no attack.
const (
	defaultRatio   = 100
	defaultBytes   = 20 << 30
	defaultMembers = 10_000
	free           = 1 << 20
)

func (u Unpack) ratio() int64 { return orElse(u.MaxRatio, defaultRatio) }
func (u Unpack) bytes() int64 { return orElse(u.MaxBytes, defaultBytes) }
func (u Unpack) members() int { return orElse(u.MaxMembers, defaultMembers) }

func orElse[N int | int64](n, otherwise N) N {
	if n == 0 {
		return otherwise
	}
	return n
}

func (u Unpack) check(pattern string) (found []Finding) {
	find := func(wrong bool, key, message, hint string) {
		if wrong {
			found = append(found, Finding{"unpack." + key, message, hint})
		}
	}
	_, err := path.Match(u.Members, "")
	find(err != nil, "members", "malformed file pattern", "close the [ or escape it with a backslash")
	find(u.MaxRatio < 0, "max_ratio", "a negative limit", "write a number like 100")
	find(u.MaxBytes < 0, "max_bytes", "a negative limit", "write a number of bytes")
	find(u.MaxMembers < 0, "max_members", "a negative limit", "write a number like 10000")
	find(u.Key.IsZero() && encrypted(pattern), "key", "no key to decrypt with", "write key: ${file:secrets/drop.asc}")
	find(u.Key.IsZero() && !u.Passphrase.IsZero(), "passphrase", "a passphrase without a key", "write key, or remove passphrase")
	find(u.Key.IsZero() && u.SignedBy != "", "signed_by", "only encrypted files carry a signature, and there is no key", "write key, or remove signed_by")
	return found
}

// Endings of packed files.
var (
	pgpEndings = []string{".pgp", ".gpg", ".asc"}
	nested     = []string{".gz", ".tgz", ".zst", ".zip", ".pgp", ".gpg", ".7z", ".rar", ".tar", ".bz2", ".xz"}
)

func ends(name string, endings ...string) bool {
	for _, e := range endings {
		if len(name) > len(e) && strings.EqualFold(name[len(name)-len(e):], e) {
			return true
		}
	}
	return false
}

func encrypted(name string) bool { return ends(name, pgpEndings...) }

// inside is the name without the ending of an encryption.
func inside(name string) string {
	if encrypted(name) {
		return name[:len(name)-len(".pgp")]
	}
	return name
}

// zipped reports whether a file holds files, packed whether its bytes are not those
// of its object.
func zipped(name string) bool { return ends(inside(name), ".zip") }
func packed(name string) bool { return encrypted(name) || ends(name, ".gz", ".zst") }

// unpacked reads the object in a file that holds one.
func (d *Drop) unpacked(raw *verified, name string) (io.ReadCloser, error) {
	if !packed(name) {
		return raw, nil
	}
	open := raw.asIs
	if encrypted(name) {
		open = func() (io.Reader, func(), error) { return d.decrypt(raw) }
	}
	from, done, err := open()
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	plain, free, err := decompress(from, inside(name))
	p := &pack{raw: raw, from: plain, close: func() { free(); done() }, limit: d.Unpack}
	if err != nil {
		_ = p.Close()
		return nil, p.explain(err)
	}
	return p, nil
}

func (v *verified) asIs() (io.Reader, func(), error) { return v, func() {}, nil }

// maxWindow bounds the memory that a zstd stream may ask for.
const maxWindow = 64 << 20

func decompress(r io.Reader, name string) (io.Reader, func(), error) {
	switch {
	case ends(name, ".gz"):
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case ends(name, ".zst"):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, func() {}, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

// pack reads what is in a packed file, and ends in io.EOF only when the file itself
// has been read to its end and is what was offered.
type pack struct {
	raw   *verified
	from  io.Reader
	close func()
	limit Unpack
	n     int64
	err   error
}

func (p *pack) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.from.Read(b)
	p.n += int64(n)
	switch {
	case p.n > p.limit.bytes():
		err = errTooLarge
	case p.n > p.limit.ratio()*p.raw.n+free:
		err = errBomb
	case errors.Is(err, io.EOF):
		if _, err = io.Copy(io.Discard, p.raw); err == nil {
			err = io.EOF
		}
	case err != nil:
		err = p.explain(err)
	}
	p.err = p.raw.drop.placed(err, p.raw.offer.item)
	return n, p.err
}

func (p *pack) Close() error {
	p.close()
	return p.raw.Close()
}

// explain tells a file that did not arrive from one that arrived and makes no
// sense. Errors of the libraries may quote what they read.
func (p *pack) explain(err error) error {
	var told *study.Error
	switch {
	case p.raw.err != nil && !errors.Is(p.raw.err, io.EOF):
		return p.raw.err
	case errors.As(err, &told):
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return errTooLarge
	}
	if _, rest := io.Copy(io.Discard, p.raw); rest != nil {
		return rest
	}
	return errCorrupt
}

func refuse(code, op, hint string) *Refused {
	return &Refused{&study.Error{Code: code, Op: op, Hint: hint}}
}

const askAgain = "ask the sender to deliver it again"

var (
	errCorrupt  = refuse("drop.archive_corrupt", "unpack a file: it is damaged, or is not what its name says", askAgain)
	errTooLarge = refuse("drop.archive_too_large", "unpack a file: its content is larger than unpack allows",
		"raise unpack.max_bytes if the sender confirms the size, then `longitude files retry`")
	errBomb = refuse("drop.archive_ratio", "unpack a file: its content is suspiciously much larger than the file",
		"raise unpack.max_ratio if the sender confirms the size, then `longitude files retry`")
	errNested    = refuse("drop.archive_nested", "unpack a file: there is an archive in the archive", "ask the sender to pack files once")
	errUnsafe    = refuse("drop.archive_unsafe", "unpack a file: it holds a link, or a name that leads elsewhere or comes twice", "find out who made it: no ordinary program does so")
	errLocked    = refuse("drop.archive_encrypted", "unpack a file: its members have a password", "ask the sender to encrypt with OpenPGP instead: the passwords of zip files are weak")
	errEmpty     = refuse("drop.archive_empty", "unpack a file: none of its members is to be delivered", "correct unpack.members, or ask the sender what happened")
	errMany      = refuse("drop.archive_members", "unpack a file: it holds more files than unpack allows", fmt.Sprintf("raise unpack.max_members (%d) if the sender confirms the number", defaultMembers))
	errDecrypt   = refuse("drop.decrypt", "decrypt a file: it is not encrypted for the key of the source, or is damaged", "compare unpack.key with the key that the sender encrypts for")
	errSignature = refuse("drop.signature", "verify the signature of a file: it has none by a key of unpack.signed_by, or it is wrong", "ask the sender; nothing of the file was recorded")
)
