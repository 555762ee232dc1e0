package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/study"
)

// copyBuffer encodes rows in Postgres' binary COPY format ("File Formats,
// Binary Format", PostgreSQL manual, COPY). Values are appended in column order;
// the caller begins each row with the number of columns.
type copyBuffer struct{ b []byte }

var copyHeader = append([]byte("PGCOPY\n\xff\r\n\x00"), 0, 0, 0, 0, 0, 0, 0, 0)

// postgresEpoch is the day number of 2000-01-01, the zero of Postgres' dates.
const postgresEpoch = 10957

func (c *copyBuffer) row(columns int16) {
	if len(c.b) == 0 {
		c.b = append(c.b, copyHeader...)
	}
	c.b = binary.BigEndian.AppendUint16(c.b, uint16(columns))
}

func (c *copyBuffer) null() { c.b = binary.BigEndian.AppendUint32(c.b, 0xffffffff) }

func (c *copyBuffer) int64(n int64) {
	c.b = binary.BigEndian.AppendUint32(c.b, 8)
	c.b = binary.BigEndian.AppendUint64(c.b, uint64(n))
}

func (c *copyBuffer) int32(n int32) {
	c.b = binary.BigEndian.AppendUint32(c.b, 4)
	c.b = binary.BigEndian.AppendUint32(c.b, uint32(n))
}

func (c *copyBuffer) int16(n int16) {
	c.b = binary.BigEndian.AppendUint32(c.b, 2)
	c.b = binary.BigEndian.AppendUint16(c.b, uint16(n))
}

func (c *copyBuffer) bool(v bool) {
	c.b = binary.BigEndian.AppendUint32(c.b, 1)
	if v {
		c.b = append(c.b, 1)
	} else {
		c.b = append(c.b, 0)
	}
}

func (c *copyBuffer) text(s string) {
	c.b = binary.BigEndian.AppendUint32(c.b, uint32(len(s)))
	c.b = append(c.b, s...)
}

// textOrNull writes "" as NULL, for columns where absence is NULL.
func (c *copyBuffer) textOrNull(s string) {
	if s == "" {
		c.null()
		return
	}
	c.text(s)
}

func (c *copyBuffer) bytes(p []byte) {
	c.b = binary.BigEndian.AppendUint32(c.b, uint32(len(p)))
	c.b = append(c.b, p...)
}

func (c *copyBuffer) date(d study.Date) {
	if !d.Known() {
		c.null()
		return
	}
	c.int32(int32(d) - postgresEpoch)
}

func (c *copyBuffer) time(t time.Time) {
	if t.IsZero() {
		c.null()
		return
	}
	c.int64(t.UnixMicro() - postgresEpoch*86400*1e6)
}

// send COPYs what was appended into the table and empties the buffer.
func (c *copyBuffer) send(ctx context.Context, tx pgx.Tx, table, columns string) error {
	if len(c.b) == 0 {
		return nil
	}
	c.b = binary.BigEndian.AppendUint16(c.b, 0xffff)
	_, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(c.b), "COPY "+table+" ("+columns+") FROM STDIN BINARY")
	c.b = c.b[:0]
	if cap(c.b) > 16<<20 {
		c.b = nil // one unusually large chunk must not keep its memory for the rest of the object
	}
	return fault("copy into "+table, err)
}
