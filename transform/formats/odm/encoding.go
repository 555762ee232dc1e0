package odm

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"longitude/study"
)

// charset is how an object's bytes stand for text.
type charset struct {
	name string
	enc  encoding.Encoding // nil: UTF-8
}

var (
	utf16LE = charset{"utf-16le", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)}
	utf16BE = charset{"utf-16be", unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)}
)

// charsets are those that an XML declaration may name. Text of us-ascii is UTF-8.
var charsets = map[string]charset{
	"":             {name: "utf-8"},
	"utf-8":        {name: "utf-8"},
	"utf8":         {name: "utf-8"},
	"us-ascii":     {name: "utf-8"},
	"ascii":        {name: "utf-8"},
	"iso-8859-1":   {"iso-8859-1", charmap.ISO8859_1},
	"latin1":       {"iso-8859-1", charmap.ISO8859_1},
	"windows-1252": {"windows-1252", charmap.Windows1252},
	"iso-8859-15":  {"iso-8859-15", charmap.ISO8859_15},
}

// starts tell encodings by the first bytes (XML 1.0, appendix F).
var starts = []struct {
	bytes, mark string // mark is no part of the text
	charset     charset
}{
	{"\xef\xbb\xbf", "\xef\xbb\xbf", charset{name: "utf-8"}},
	{"\xff\xfe", "\xff\xfe", utf16LE},
	{"\xfe\xff", "\xfe\xff", utf16BE},
	{"<\x00", "", utf16LE},
	{"\x00<", "", utf16BE},
}

var declaration = regexp.MustCompile(`^<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']`)

const maxDeclaration = 1024

// decodeText finds the encoding of an object and reads it as UTF-8.
func decodeText(r io.Reader) (io.Reader, charset, error) {
	start := make([]byte, maxDeclaration)
	n, err := io.ReadFull(r, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, charset{}, readError(err)
	}
	start = start[:n]
	for _, s := range starts {
		if rest, ok := bytes.CutPrefix(start, []byte(s.bytes)); ok {
			return s.charset.over(io.MultiReader(strings.NewReader(strings.TrimPrefix(s.bytes, s.mark)), bytes.NewReader(rest), r)), s.charset, nil
		}
	}
	name := ""
	if found := declaration.FindSubmatch(start); found != nil {
		name = strings.ToLower(string(found[1]))
	}
	c, known := charsets[name]
	if !known {
		return nil, c, &study.Error{Code: "odm.encoding", Place: "line 1", Op: "reading XML in an encoding that is not known here",
			Hint: "export as UTF-8; UTF-16, ISO-8859-1, ISO-8859-15 and Windows-1252 are read too"}
	}
	return c.over(io.MultiReader(bytes.NewReader(start), r)), c, nil
}

func (c charset) over(r io.Reader) io.Reader {
	if c.enc == nil {
		return r
	}
	return transform.NewReader(r, c.enc.NewDecoder())
}

// landed gives back the bytes of a row as they were delivered.
func (c charset) landed(raw []byte) []byte {
	if c.enc == nil {
		return raw
	}
	if b, err := c.enc.NewEncoder().Bytes(raw); err == nil {
		return b
	}
	return raw // half a character at the end of a row that was too long
}
