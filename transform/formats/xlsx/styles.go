package xlsx

import "strings"

// style is what a number format makes of a number.
type style byte

const (
	plainNumber style = iota // durations such as [h]:mm too: they are not dates
	dated                    // a day, with or without a time
	timeOnly
)

// readStyles learns which cells are dates; a workbook need not have styles.
func (w *workbook) readStyles(part string) error {
	if part == "" {
		return nil
	}
	var doc struct {
		Formats []struct {
			ID   int    `xml:"numFmtId,attr"`
			Code string `xml:"formatCode,attr"`
		} `xml:"numFmts>numFmt"`
		Cells []struct {
			Format int `xml:"numFmtId,attr"`
		} `xml:"cellXfs>xf"`
	}
	if err := w.parse(part, "the number formats", &doc); err != nil {
		return err
	}
	own := map[int]style{}
	for _, f := range doc.Formats {
		own[f.ID] = formatStyle(f.Code)
	}
	for _, c := range doc.Cells {
		s, ok := own[c.Format]
		if !ok {
			s = builtIn(c.Format)
		}
		w.styles = append(w.styles, s)
	}
	return nil
}

// builtIn is the style of a format that has a number and no code (ECMA-376 part
// 1, 18.8.30); those from 27 to 36 and 50 to 58 are East Asian dates and times.
func builtIn(format int) style {
	switch {
	case 14 <= format && format <= 17, format == 22, 27 <= format && format <= 31, format == 36, 50 <= format && format <= 54, format == 57, format == 58:
		return dated
	case 18 <= format && format <= 21, 32 <= format && format <= 35, format == 45, format == 47, format == 55, format == 56:
		return timeOnly
	}
	return plainNumber
}

// formatStyle reads a format code such as `[$-409]d\-mmm\-yy;@`. Its first
// section is the one for dates; literals, colours and locales say nothing, and a
// bracketed unit of time is a duration.
func formatStyle(code string) style {
	var date, clock, month bool
	code = strings.ToLower(code)
	for i := 0; i < len(code); i++ {
		switch code[i] {
		case ';':
			i = len(code)
		case '"':
			i += closing(code[i+1:], '"')
		case '\\', '_', '*':
			i++
		case '[':
			n := closing(code[i+1:], ']')
			if strings.Trim(code[i+1:min(i+n, len(code))], "hms") == "" && n > 1 {
				return plainNumber
			}
			i += n
		case 'g':
			i += len("eneral") * strings.Count(code[i:min(i+7, len(code))], "general")
		case 'y', 'd':
			date = true
		case 'h', 's':
			clock = true
		case 'm':
			month = true
		case 'a': // am/pm and a/p say nothing new; their m is no month
			if strings.HasPrefix(code[i:], "am/pm") {
				i += len("m/pm")
			}
		}
	}
	switch {
	case date, month && !clock:
		return dated
	case clock:
		return timeOnly
	}
	return plainNumber
}

// closing is how many bytes of code it takes to pass over the next end.
func closing(code string, end byte) int {
	if n := strings.IndexByte(code, end); n >= 0 {
		return n + 1
	}
	return len(code)
}
