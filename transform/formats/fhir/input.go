package fhir

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// stoppable is a reader that ends with the context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, stopped(s.ctx)
	}
	return s.r.Read(p)
}

// counted is a reader that gives so many bytes and no more until it is told to, and
// knows on which line each is.
type counted struct {
	r      io.Reader
	left   int     // bytes that it gives
	failed error   // that it gave, unless it was the end
	read   int64   // bytes given
	line   int64   // of the first byte that is still asked about
	ends   []int64 // offsets of the line ends after it
}

func (c *counted) Read(p []byte) (int, error) {
	if c.left <= 0 {
		c.failed = errTooLong
		return 0, c.failed
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	for i := 0; ; i++ {
		next := bytes.IndexByte(p[i:n], '\n')
		if next < 0 {
			break
		}
		i += next
		c.ends = append(c.ends, c.read+int64(i))
	}
	c.read += int64(n)
	if err != nil && err != io.EOF {
		c.failed = err
	}
	return n, err
}

// lineAt is the line of the byte at an offset; no earlier one is asked about later.
func (c *counted) lineAt(offset int64) int64 {
	n := 0
	for n < len(c.ends) && c.ends[n] < offset {
		n++
	}
	c.line += int64(n)
	c.ends = append(c.ends[:0], c.ends[n:]...)
	return c.line
}

func (c *counted) place(dec *jsontext.Decoder) string {
	at := dec.InputOffset()
	return fmt.Sprintf("line %d, byte %d", c.lineAt(at), at+1)
}
