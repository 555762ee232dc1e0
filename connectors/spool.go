package connectors

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"syscall"

	"longitude/study"
)

// spool holds one object that must be read at random: small ones in memory, large
// ones in a file without a name, encrypted under a key that is nowhere but here.
// What dies leaves nothing that could be read.
type spool struct {
	small bytes.Buffer
	file  *os.File
	block cipher.Block
	size  int64
}

const spoolInMemory = 8 << 20

func newSpool() (*spool, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	return &spool{block: block}, err
}

// Size is how much was written.
func (s *spool) Size() int64 { return s.size }

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.small.Len()+len(p) <= spoolInMemory {
		s.size += int64(len(p))
		return s.small.Write(p)
	}
	if s.file == nil {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	return len(p), s.seal(p)
}

// spill moves what is in memory to a file.
func (s *spool) spill() (err error) {
	if s.file, err = os.CreateTemp("", "longitude-*"); err != nil {
		return spoolFailed(err)
	}
	if err := os.Remove(s.file.Name()); err != nil {
		return spoolFailed(err)
	}
	held := s.small.Bytes()
	s.size, s.small = 0, bytes.Buffer{}
	return s.seal(held)
}

func (s *spool) seal(p []byte) error {
	sealed := make([]byte, len(p))
	s.xor(sealed, p, s.size)
	n, err := s.file.WriteAt(sealed, s.size)
	s.size += int64(n)
	return spoolFailed(err)
}

// xor applies the key stream at an offset.
func (s *spool) xor(to, from []byte, at int64) {
	var counter [aes.BlockSize]byte
	binary.BigEndian.PutUint64(counter[8:], uint64(at/aes.BlockSize))
	stream := cipher.NewCTR(s.block, counter[:])
	var skip [aes.BlockSize]byte
	stream.XORKeyStream(skip[:at%aes.BlockSize], skip[:at%aes.BlockSize])
	stream.XORKeyStream(to, from)
}

// ReadAt implements io.ReaderAt.
func (s *spool) ReadAt(p []byte, at int64) (int, error) {
	if s.file == nil {
		return bytes.NewReader(s.small.Bytes()).ReadAt(p, at)
	}
	n, err := s.file.ReadAt(p, at)
	s.xor(p[:n], p[:n], at)
	if errors.Is(err, io.EOF) {
		return n, io.EOF
	}
	return n, spoolFailed(err)
}

// Close destroys what was held.
func (s *spool) Close() error {
	s.small = bytes.Buffer{}
	if s.file == nil {
		return nil
	}
	return spoolFailed(s.file.Close())
}

// spoolFailed says why a file could not be held, and nothing of it.
func spoolFailed(err error) error {
	if err == nil {
		return nil
	}
	e := &study.Error{Code: "drop.spool", Op: "hold a packed file while it is read", Exit: study.ExitEnvironment,
		Hint: "free space in the folder of temporary files (TMPDIR), or make it writable"}
	var cause syscall.Errno
	if errors.As(err, &cause) {
		e.Err = cause
	}
	return e
}
