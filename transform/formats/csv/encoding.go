package csv

import (
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"longitude/study"
)

// encoding is how an object's bytes stand for text. Beside the name at most one
// of its fields is set; none means UTF-8 as declared.
type encoding struct {
	name    string           // as it is declared; what auto was found to be
	auto    bool             // UTF-8 until proven otherwise
	bytes   *charmap.Charmap // one byte a character
	utf16   binary.AppendByteOrder
	needBOM bool // UTF-16 whose mark tells the byte order
}

var encodings = map[string]encoding{
	"":             {name: "utf-8", auto: true},
	"auto":         {name: "utf-8", auto: true},
	"utf-8":        {name: "utf-8"},
	"windows-1252": {name: "windows-1252", bytes: charmap.Windows1252},
	"iso-8859-1":   {name: "iso-8859-1", bytes: charmap.ISO8859_1},
	"iso-8859-15":  {name: "iso-8859-15", bytes: charmap.ISO8859_15},
	"macintosh":    {name: "macintosh", bytes: charmap.Macintosh},
	"utf-16":       {name: "utf-16", needBOM: true},
	"utf-16le":     {name: "utf-16le", utf16: binary.LittleEndian},
	"utf-16be":     {name: "utf-16be", utf16: binary.BigEndian},
}

var marks = []struct {
	bom string
	enc encoding
}{
	{"\xef\xbb\xbf", encodings["utf-8"]},
	{"\xff\xfe", encodings["utf-16le"]},
	{"\xfe\xff", encodings["utf-16be"]},
}

// detect settles the encoding of an object from the declared name and a byte
// order mark, which it removes. UTF-16 is translated on the way; the other
// encodings agree with ASCII, so they are split first and translated after.
func detect(name string, r io.Reader) (io.Reader, encoding, error) {
	enc := encodings[name]
	start := make([]byte, 3)
	n, _, err := readFull(r, start)
	if err != nil {
		return nil, enc, err
	}
	start = start[:n]
	for _, m := range marks {
		if bytes.HasPrefix(start, []byte(m.bom)) && (enc.auto || enc.needBOM && m.enc.utf16 != nil || enc == m.enc) {
			enc, start = m.enc, start[len(m.bom):]
			break
		}
	}
	if enc.needBOM {
		return nil, enc, &study.Error{Code: "csv.encoding_unknown", Place: "line 1",
			Op:   "reading an object declared utf-16, which does not start with a byte order mark",
			Hint: "declare `encoding: utf-16le` or `encoding: utf-16be` in the source's format"}
	}
	r = io.MultiReader(bytes.NewReader(start), r)
	switch enc.utf16 {
	case binary.LittleEndian:
		r = transform.NewReader(r, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder())
	case binary.BigEndian:
		r = transform.NewReader(r, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder())
	}
	return r, enc, nil
}

// textUnknown is the rule of a row that is not UTF-8 where nothing is declared;
// it ends the object instead of breaking the row.
const textUnknown = "text_unknown"

func unknownEncoding(place string) error {
	return &study.Error{Code: "csv.encoding_unknown", Place: place,
		Op:   "reading text that is not UTF-8, without a declared encoding or a byte order mark",
		Hint: "declare it in the source's format: `encoding: windows-1252` is usual for exports from Windows, utf-16le for \"Unicode text\"; it is never guessed"}
}

// decode turns the cells of a row, from base on, into UTF-8 and returns the rule
// that the row's text breaks.
func (d *decoder) decode(row *split, base int) (rule string) {
	raw := d.buf[d.pos:row.end]
	if ascii(raw) {
		return ""
	}
	switch {
	case d.enc.bytes != nil:
		return d.translate(base)
	case !utf8.Valid(raw) && d.enc.auto:
		return textUnknown
	case !utf8.Valid(raw), d.enc.utf16 != nil && bytes.ContainsRune(raw, utf8.RuneError):
		return "text_invalid"
	case hasC1(raw):
		return "text_control"
	}
	return ""
}

// translate decodes the cells from base on. A character that comes out as a C1
// control says that the declared encoding is not the real one.
func (d *decoder) translate(base int) (rule string) {
	for i, cell := range d.rows.Cells[base:] {
		if ascii(cell) {
			continue
		}
		at := len(d.arena)
		for _, c := range cell {
			r := d.enc.bytes.DecodeByte(c)
			if r == utf8.RuneError || r >= 0x80 && r < 0xa0 {
				return "text_control"
			}
			d.arena = utf8.AppendRune(d.arena, r)
		}
		d.rows.Cells[base+i] = d.arena[at:len(d.arena):len(d.arena)]
	}
	return ""
}

// raw gives back a row's bytes as landed.
func (d *decoder) raw(row []byte) []byte {
	if d.enc.utf16 == nil {
		return row
	}
	at := len(d.arena)
	for len(row) > 0 {
		r, n := utf8.DecodeRune(row)
		row = row[n:]
		if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
			d.arena = d.enc.utf16.AppendUint16(d.arena, uint16(hi))
			r = lo
		}
		d.arena = d.enc.utf16.AppendUint16(d.arena, uint16(r))
	}
	return d.arena[at:len(d.arena):len(d.arena)]
}

// hasC1 reports a control character U+0080 to U+009F in valid UTF-8.
func hasC1(b []byte) bool {
	for {
		i := bytes.IndexByte(b, 0xc2)
		if i < 0 {
			return false
		}
		if b[i+1] < 0xa0 {
			return true
		}
		b = b[i+2:]
	}
}

func ascii(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b)&highs != 0 {
			return false
		}
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
