package postgres

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/study"
)

// cells are the values of one row as the database sends them in binary, taken in
// the order of the columns: what a query reads by the million is decoded without a
// look at its types. An empty value is NULL. They are valid until the next row.
type cells struct {
	raw   [][]byte
	texts map[string]string // few and short, as states, keys and site names are: kept once
}

// eachRow runs a query and hands over its rows. Its mode is not left to the URL: with
// some there is no binary.
func eachRow(ctx context.Context, q querier, sql string, args []any, read func(*cells)) error {
	rows, err := q.Query(ctx, sql, append([]any{pgx.QueryExecModeDescribeExec, pgx.QueryResultFormats{pgx.BinaryFormatCode}}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	c := cells{texts: map[string]string{}}
	for rows.Next() {
		c.raw = rows.RawValues()
		read(&c)
	}
	return rows.Err()
}

func (c *cells) next() []byte {
	v := c.raw[0]
	c.raw = c.raw[1:]
	return v
}

func (c *cells) int16() int16 { return int16(binary.BigEndian.Uint16(c.next())) }
func (c *cells) int32() int32 { return int32(binary.BigEndian.Uint32(c.next())) }
func (c *cells) int64() int64 { return int64(binary.BigEndian.Uint64(c.next())) }
func (c *cells) bool() bool   { return c.next()[0] != 0 }
func (c *cells) text() string { return string(c.next()) }

// distance is a number that may be missing.
func (c *cells) distance() (n int, ok bool) {
	v := c.next()
	if v == nil {
		return 0, false
	}
	return int(int32(binary.BigEndian.Uint32(v))), true
}

// word is a text that many rows share.
func (c *cells) word() string {
	v := c.next()
	if s, known := c.texts[string(v)]; known || len(v) == 0 {
		return s
	}
	s := string(v)
	if len(v) <= 32 && len(c.texts) < 4096 {
		c.texts[s] = s
	}
	return s
}

func (c *cells) date() study.Date {
	v := c.next()
	if v == nil {
		return study.NoDate
	}
	return study.Date(int32(binary.BigEndian.Uint32(v)) + postgresEpoch)
}

func (c *cells) partial() study.PartialDate {
	p, _ := study.ParsePartialDate(c.word()) // we wrote it; NULL is no date
	return p
}

func (c *cells) time() time.Time {
	v := c.next()
	if v == nil {
		return time.Time{}
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64(v)) + postgresEpoch*86400*1e6).UTC()
}

// grouped collects rows about participants in whatever order they come. It is used
// again and again: rows handed over are valid until it is cleared.
type grouped[T any] struct {
	of   []int32 // place of the participant whose row it is
	rows []T
	held []int32 // rows by participant
	ends []int32
}

func (g *grouped[T]) clear() { g.of, g.rows = g.of[:0], g.rows[:0] }

// add makes room for a row.
func (g *grouped[T]) add(of int32) *T {
	var row T
	g.of, g.rows = append(g.of, of), append(g.rows, row)
	return &g.rows[len(g.rows)-1]
}

// each hands over the rows of every participant that has some, in order.
func (g *grouped[T]) each(participants int, order func(a, b *T) int, do func(of int, rows []int32)) {
	g.ends = append(g.ends[:0], make([]int32, participants+1)...)
	for _, of := range g.of {
		g.ends[of+1]++
	}
	for i := range participants {
		g.ends[i+1] += g.ends[i]
	}
	g.held = slices.Grow(g.held[:0], len(g.rows))[:len(g.rows)]
	for i := len(g.of) - 1; i >= 0; i-- { // from behind: each end becomes where its rows begin
		end := &g.ends[g.of[i]+1]
		*end--
		g.held[*end] = int32(i)
	}
	byOrder := func(a, b int32) int { return order(&g.rows[a], &g.rows[b]) }
	for i := range participants {
		end := int32(len(g.held))
		if i+2 < len(g.ends) {
			end = g.ends[i+2]
		}
		rows := g.held[g.ends[i+1]:end]
		if len(rows) == 0 {
			continue
		}
		if !slices.IsSortedFunc(rows, byOrder) {
			slices.SortFunc(rows, byOrder)
		}
		do(i, rows)
	}
}
