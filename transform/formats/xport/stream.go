package xport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"longitude/study"
)

// recordSize is what everything in a transport file is padded to, with blanks.
const recordSize = 80

// stream reads an object through one buffer.
type stream struct {
	r        io.Reader
	buf      []byte
	pos, end int   // buf[pos:end] is read and not yet used
	at       int64 // offset of buf[0] in the object
	eof      bool
}

// fill makes room and reads until the buffer is full or the object ends.
func (s *stream) fill() error {
	s.end = copy(s.buf, s.buf[s.pos:s.end])
	s.at += int64(s.pos)
	s.pos = 0
	for s.end < len(s.buf) && !s.eof {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		if err == io.EOF {
			s.eof = true
		} else if err != nil {
			return readError(err)
		}
	}
	return nil
}

// readError hands on an error of the reader below, which speaks of the object
// and not of its text.
func readError(err error) error {
	var known *study.Error
	if errors.As(err, &known) {
		return err
	}
	return &study.Error{Code: "xport.read", Op: "reading the object", Temporary: true, Err: err,
		Hint: "the object could not be read to its end; run again"}
}

// take returns the next n bytes, which are valid until the next call.
func (s *stream) take(n int) ([]byte, error) {
	if s.end-s.pos < n {
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
	if s.end-s.pos < n {
		return nil, s.truncated(s.end)
	}
	s.pos += n
	return s.buf[s.pos-n : s.pos], nil
}

// align takes what pads the last record, up to the next one.
func (s *stream) align() (padding []byte, err error) {
	return s.take(int(recordSize-(s.at+int64(s.pos))%recordSize) % recordSize)
}

// record is the number of the record that holds the byte at i of the buffer, from 1.
func (s *stream) record(i int) int64 { return (s.at+int64(i))/recordSize + 1 }

// truncated says that what the header announces ends before byte i of the buffer.
func (s *stream) truncated(i int) error {
	n := s.record(i)
	return &study.Error{Code: "xport.truncated", Place: fmt.Sprintf("record %d", n),
		Op:   fmt.Sprintf("reading an object in which records from %d on are missing or incomplete", n),
		Hint: "the object is cut, or its transfer changed bytes: fetch it again, in binary mode"}
}

func (s *stream) invalid(what string) error {
	return &study.Error{Code: "xport.header_invalid", Place: fmt.Sprintf("record %d", s.record(max(s.pos-1, 0))),
		Op:   "reading the header: " + what,
		Hint: "the object is no transport file as SAS describes them, or its transfer changed bytes: export and fetch it again, in binary mode"}
}

var (
	headerStart  = []byte("HEADER RECORD*******")
	headerMiddle = []byte("HEADER RECORD!!!!!!!")
	headerFirst  = binary.LittleEndian.Uint64(headerStart)
)

// isHeader returns the name in a header record, such as OBS; "" of other records.
func isHeader(record []byte) string {
	if binary.LittleEndian.Uint64(record) != headerFirst || !bytes.HasPrefix(record, headerStart) || !bytes.HasPrefix(record[28:], headerMiddle) {
		return ""
	}
	return string(bytes.TrimRight(record[20:28], " "))
}

// header reads a header record and returns its name and the text after it.
func (s *stream) header() (name string, text []byte, err error) {
	record, err := s.take(recordSize)
	if err != nil {
		return "", nil, err
	}
	return isHeader(record), record[48:], nil
}

// number reads digits of a header record, blanks around them allowed; -1 is
// anything else.
func number(digits []byte) int64 {
	n := int64(0)
	digits = bytes.Trim(digits, " ")
	if len(digits) == 0 {
		return -1
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}
