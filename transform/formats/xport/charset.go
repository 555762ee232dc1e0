package xport

import (
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"longitude/study"
)

// charset is how the bytes of a text stand for characters; a transport file does
// not say it.
type charset struct {
	name  string
	auto  bool             // UTF-8, of which ASCII is a part, until proven otherwise
	bytes *charmap.Charmap // one byte a character; nil = UTF-8
}

var charsets = map[string]charset{
	"":             {name: "utf-8", auto: true},
	"auto":         {name: "utf-8", auto: true},
	"utf-8":        {name: "utf-8"},
	"windows-1252": {name: "windows-1252", bytes: charmap.Windows1252},
	"iso-8859-1":   {name: "iso-8859-1", bytes: charmap.ISO8859_1},
}

// textUnknown is the rule of a text that is not UTF-8 where nothing is declared;
// it ends the object instead of breaking the row.
const textUnknown = "text_unknown"

func (d *decoder) unknownEncoding(place string) error {
	return &study.Error{Code: "xport.encoding_unknown", Place: place,
		Op:   "reading text that is not UTF-8, without a declared encoding",
		Hint: "declare it in the source's format: `encoding: windows-1252` is usual for transport files from Windows; it is never guessed"}
}

// text returns a cell in UTF-8, or the rule that it breaks. Control characters
// other than tab and line ends say that it is not text, or in another encoding.
func (d *decoder) text(cell []byte) (text []byte, rule string) {
	for _, c := range cell {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return nil, "text_control"
		}
	}
	if d.charset.bytes != nil {
		return d.translate(cell)
	}
	for at := 0; at < len(cell); {
		r, n := utf8.DecodeRune(cell[at:])
		switch {
		case r == utf8.RuneError && n == 1 && d.charset.auto:
			return nil, textUnknown
		case r == utf8.RuneError && n == 1:
			return nil, "text_invalid"
		case r >= 0x80 && r < 0xa0:
			rule = "text_control" // unless what follows is no UTF-8 at all
		}
		at += n
	}
	return cell, rule
}

// translate decodes a cell into the arena. A character that comes out as a C1
// control says that the declared encoding is not the real one.
func (d *decoder) translate(cell []byte) (text []byte, rule string) {
	at := len(d.arena)
	for _, c := range cell {
		r := d.charset.bytes.DecodeByte(c)
		if r == utf8.RuneError || r >= 0x80 && r < 0xa0 {
			return nil, "text_control"
		}
		d.arena = utf8.AppendRune(d.arena, r)
	}
	return d.arena[at:len(d.arena):len(d.arena)], ""
}
