package xport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// The writer of the tests shares nothing with the reader: it follows the record
// layouts of SAS's notes and computes IBM floats with math/big.

type variable struct {
	name, label, format string
	width               int // bytes
	text                bool
}

type member struct {
	name string
	vars []variable
	rows [][]any // float64, string, or missing
	tail []byte  // instead of the blanks that pad the rows
}

// missing is a missing number by its first byte.
type missing byte

func records(parts ...string) string {
	return fmt.Sprintf("%-80s", strings.Join(parts, ""))
}

func padded(b []byte) []byte {
	for len(b)%80 != 0 {
		b = append(b, ' ')
	}
	return b
}

// library writes an object in version 5 or 8.
func library(version int, members ...member) []byte {
	var b bytes.Buffer
	first := map[int]string{5: "LIBRARY ", 8: "LIBV8   "}[version]
	b.WriteString(records("HEADER RECORD*******", first, "HEADER RECORD!!!!!!!", strings.Repeat("0", 30)))
	b.WriteString(records("SAS     SAS     SASLIB  9.4     Linux   ", strings.Repeat(" ", 24), "01JAN26:00:00:00"))
	b.WriteString(records("01JAN26:00:00:00"))
	for _, m := range members {
		b.Write(m.write(version))
	}
	return b.Bytes()
}

func (m member) write(version int) []byte {
	var b bytes.Buffer
	name := map[bool][]string{true: {"MEMBER  ", "DSCRPTR ", "NAMESTR ", "OBS     "}, false: {"MEMBV8  ", "DSCPTV8 ", "NAMSTV8 ", "OBSV8   "}}[version == 5]
	header := func(i int, text string) {
		b.WriteString(records("HEADER RECORD*******", name[i], "HEADER RECORD!!!!!!!", text))
	}
	header(0, "000000000000000001600000000140")
	header(1, strings.Repeat("0", 30))
	wide := map[int]int{5: 8, 8: 32}[version]
	b.WriteString(records("SAS     ", fmt.Sprintf("%-*s", wide, m.name), "SASDATA 9.4     Linux   ", strings.Repeat(" ", 32-wide), "01JAN26:00:00:00"))
	b.WriteString(records("01JAN26:00:00:00"))
	header(2, fmt.Sprintf("%010d%020d", len(m.vars), 0))
	var described []byte
	at := 0
	for i, v := range m.vars {
		described = append(described, v.describe(version, i, at)...)
		at += v.width
	}
	b.Write(padded(described))
	if version == 8 {
		b.Write(m.long())
	}
	var rows []byte
	for _, r := range m.rows {
		for i, v := range m.vars {
			rows = append(rows, v.cell(r[i])...)
		}
	}
	header(3, map[int]string{5: strings.Repeat("0", 30), 8: fmt.Sprintf("%015d", len(m.rows))}[version])
	if m.tail != nil {
		b.Write(append(rows, m.tail...))
	} else {
		b.Write(padded(rows))
	}
	return b.Bytes()
}

func (v variable) describe(version, i, at int) []byte {
	b := bytes.Repeat([]byte{0}, 140)
	short := func(at, n int) { binary.BigEndian.PutUint16(b[at:], uint16(n)) }
	word := func(at, wide int, s string) { copy(b[at:at+wide], fmt.Sprintf("%-*s", wide, s)) }
	short(0, map[bool]int{false: 1, true: 2}[v.text])
	short(4, v.width)
	short(6, i+1)
	word(8, 8, v.name)
	word(16, 40, v.label)
	if len(v.format) <= 8 {
		word(56, 8, v.format)
	}
	binary.BigEndian.PutUint32(b[84:], uint32(at))
	if version == 8 {
		word(88, 32, v.name)
		short(120, len(v.label))
		short(122, len(v.format))
	}
	return b
}

// long writes what does not fit a description: LABELV9 where a format is long,
// else LABELV8.
func (m member) long() []byte {
	var b []byte
	count, nine := 0, false
	for _, v := range m.vars {
		nine = nine || len(v.format) > 8
	}
	for i, v := range m.vars {
		if len(v.label) <= 40 && len(v.format) <= 8 {
			continue
		}
		count++
		lengths := []int{i + 1, len(v.name), len(v.label)}
		if nine {
			lengths = append(lengths, len(v.format), 0)
		}
		for _, n := range lengths {
			b = binary.BigEndian.AppendUint16(b, uint16(n))
		}
		b = append(b, v.name+v.label...)
		if nine {
			b = append(b, v.format...)
		}
	}
	if count == 0 {
		return nil
	}
	name := map[bool]string{true: "LABELV9 ", false: "LABELV8 "}[nine]
	return padded(append([]byte(records("HEADER RECORD*******", name, "HEADER RECORD!!!!!!!", fmt.Sprint(count))), b...))
}

func (v variable) cell(value any) []byte {
	b := bytes.Repeat([]byte{map[bool]byte{true: ' '}[v.text]}, v.width)
	switch x := value.(type) {
	case string:
		copy(b, x)
	case missing:
		b[0] = byte(x)
	case float64:
		copy(b, ibm(x))
	}
	return b
}

// ibm writes a number as an IBM hexadecimal float: the fraction, at least 1/16
// and below 1, times a power of sixteen.
func ibm(x float64) []byte {
	stored := make([]byte, 8)
	if x == 0 {
		return stored
	}
	f := new(big.Float).SetFloat64(x)
	negative := f.Sign() < 0
	mantissa := new(big.Float)
	two := f.Abs(f).MantExp(mantissa) // power of two of a fraction of at least 1/2
	sixteen := two >> 2
	if two&3 != 0 {
		sixteen++
	}
	e := sixteen + 64
	fraction, _ := mantissa.SetMantExp(mantissa, 56+two-4*sixteen).Int(nil)
	fraction.FillBytes(stored)
	stored[0] = byte(e)
	if negative {
		stored[0] |= 0x80
	}
	return stored
}

// stands is the float64 nearest to a stored number, as a decimal without exponent.
func stands(stored []byte) string {
	fraction := new(big.Int).SetBytes(append(append([]byte{}, stored[1:]...), make([]byte, 8-len(stored))...))
	f := new(big.Float).SetPrec(56).SetInt(fraction)
	f.SetMantExp(f, 4*(int(stored[0]&0x7f)-64)-56)
	if stored[0]&0x80 != 0 {
		f.Neg(f)
	}
	nearest, _ := f.Float64()
	if nearest == 0 {
		return "0"
	}
	return strconv.FormatFloat(nearest, 'f', -1, 64)
}
