package canarytest

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// anchor is how many bytes of a pattern are looked up at each place of a text.
const anchor = 8

const (
	portion = 1 << 20 // bytes that are looked at together
	overlap = 1 << 11 // of them, those that are looked at again: more than any pattern, escaped
	depth   = 4       // archives inside archives
)

// Hit is a canary that was found, and how it was written there.
type Hit struct {
	Canary Canary
	As     string
}

func (h Hit) String() string { return fmt.Sprintf("%s as %s", h.Canary, h.As) }

// Scanner finds canaries. It may be used by several at once.
type Scanner struct {
	canaries []Canary
	patterns []pattern
	at       map[uint64][]int32 // patterns by their last bytes
	maybe    [1 << 14]uint64    // a bit for each such value, hashed: most places of a text end here
}

// NewScanner looks for these. A text is looked at once, whatever their number:
// the last eight bytes at each place are looked up among those of all patterns.
func NewScanner(canaries []Canary) *Scanner {
	s := &Scanner{canaries: canaries, at: map[uint64][]int32{}}
	for i, c := range canaries {
		for _, p := range patterns(i, c) {
			key := binary.LittleEndian.Uint64([]byte(p.text[len(p.text)-anchor:]))
			s.at[key] = append(s.at[key], int32(len(s.patterns)))
			s.patterns = append(s.patterns, p)
			s.maybe[bucket(key)>>6] |= 1 << (bucket(key) & 63)
		}
	}
	return s
}

func bucket(key uint64) uint64 { return key * 0x9E3779B97F4A7C15 >> 44 }

// Hits is what was found, and how often.
type Hits map[Hit]int

// Add takes over what was found elsewhere.
func (h Hits) Add(other Hits) {
	for hit, n := range other {
		h[hit] += n
	}
}

// Text looks at a text, and into it where it is an archive.
func (s *Scanner) Text(text []byte) Hits {
	hits, err := s.Stream(bytes.NewReader(text))
	if err != nil { // an archive that breaks off is still looked at as it is
		hits = Hits{}
		s.view(text, hits)
	}
	return hits
}

// Stream looks at all that r holds, however long, and into it where it is
// gzip, zstd or zip.
func (s *Scanner) Stream(r io.Reader) (Hits, error) {
	hits := Hits{}
	return hits, s.stream(r, hits, depth)
}

func (s *Scanner) stream(r io.Reader, hits Hits, deeper int) error {
	b := bufio.NewReaderSize(r, 1<<16)
	magic, err := b.Peek(4)
	switch {
	case err != nil || deeper == 0:
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return s.twice(b, hits, func(inner io.Reader) (io.Reader, error) { return gzip.NewReader(inner) }, deeper)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return s.twice(b, hits, func(inner io.Reader) (io.Reader, error) { return zstd.NewReader(inner, zstd.WithDecoderConcurrency(1)) }, deeper)
	case bytes.HasPrefix(magic, []byte("PK\x03\x04")):
		return s.zip(b, hits, deeper)
	}
	return s.plain(b, hits)
}

// twice looks at an archive as it is, since its head has names, and opened.
func (s *Scanner) twice(r io.Reader, hits Hits, open func(io.Reader) (io.Reader, error), deeper int) error {
	whole, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.view(whole, hits)
	inner, err := open(bytes.NewReader(whole))
	if err != nil {
		return nil //nolint:nilerr // it only begins like an archive
	}
	_ = s.stream(inner, hits, deeper-1) // what could be read before it broke off was looked at
	return nil
}

func (s *Scanner) zip(r io.Reader, hits Hits, deeper int) error {
	whole, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.view(whole, hits) // names and comments stand in it as they are
	archive, err := zip.NewReader(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		return nil //nolint:nilerr // it only begins like an archive
	}
	for _, f := range archive.File {
		inner, err := f.Open()
		if err == nil {
			_ = s.stream(inner, hits, deeper-1) // as above
		}
	}
	return nil
}

func (s *Scanner) plain(r io.Reader, hits Hits) error {
	buffer := make([]byte, 0, portion)
	for {
		n, err := io.ReadFull(r, buffer[len(buffer):portion])
		buffer = buffer[:len(buffer)+n]
		s.view(buffer, hits)
		switch err {
		case nil:
			buffer = buffer[:copy(buffer, buffer[len(buffer)-overlap:])]
		case io.EOF, io.ErrUnexpectedEOF:
			return nil
		default:
			return err
		}
	}
}

// view looks at a text as it is, with its escapes undone, and for digits alone.
func (s *Scanner) view(text []byte, hits Hits) {
	folded := foldCase(make([]byte, 0, len(text)), text)
	s.find(folded, hits, false, "")
	if bytes.ContainsAny(folded, `%&\`) {
		s.find(unescape(nil, folded), hits, false, "escaped ")
	}
	s.find(runs(make([]byte, 0, len(folded)), folded), hits, true, "")
}

// find looks up the last bytes at every place of a text.
func (s *Scanner) find(text []byte, hits Hits, digits bool, how string) {
	if len(text) < anchor {
		return
	}
	key := binary.LittleEndian.Uint64(text) << 8
	for end := anchor; end <= len(text); end++ {
		if end == anchor {
			key = binary.LittleEndian.Uint64(text)
		} else {
			key = key>>8 | uint64(text[end-1])<<56
		}
		b := bucket(key)
		if s.maybe[b>>6]&(1<<(b&63)) == 0 {
			continue
		}
		for _, i := range s.at[key] {
			p := &s.patterns[i]
			from := end - len(p.text)
			if p.digits != digits || from < 0 || string(text[from:end]) != p.text || digits && !stands(text, from, end) {
				continue
			}
			hits[Hit{s.canaries[p.canary], how + p.as}]++
		}
	}
}

// Files looks at the names and contents of all files below a folder. It calls
// found for each with hits and answers how many files and bytes there were.
func (s *Scanner) Files(folder string, found func(path string, hits Hits)) (files int, size int64, err error) {
	err = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		counted := &counter{r: f}
		hits, err := s.Stream(counted)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		s.view([]byte(name), hits)
		files, size = files+1, size+counted.n
		if len(hits) > 0 {
			found(path, hits)
		}
		return nil
	})
	return files, size, err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
