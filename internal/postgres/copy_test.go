package postgres

import (
	"bytes"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/study"
)

// Every kind of value arrives as Postgres itself writes it.
func TestCopy(t *testing.T) {
	s := open(t)
	conn := as(t, s, "")
	if _, err := conn.Exec(t.Context(), `CREATE TABLE public.every (n bigint, i integer, s smallint, b boolean, t text, e text, raw bytea, d date, at timestamptz)`); err != nil {
		t.Fatal(err)
	}
	huge := bytes.Repeat([]byte{0, 0xff}, 9<<20)
	var c copyBuffer
	add := func(n int64, b bool, text string, raw []byte, d study.Date, at time.Time) {
		c.row(9)
		c.int64(n)
		c.int32(int32(n))
		c.int16(int16(n))
		c.bool(b)
		c.text(text)
		c.textOrNull(text)
		c.bytes(raw)
		c.date(d)
		c.time(at)
	}
	copied := func() {
		if err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			return c.send(t.Context(), tx, "public.every", "n, i, s, b, t, e, raw, d, at")
		}); err != nil {
			t.Fatal(err)
		}
	}
	copied() // nothing to send
	add(-1<<15, true, "ä\x1f", nil, day("2000-01-01"), at("2000-01-01T00:00:00Z"))
	add(1, false, "", huge, study.NoDate, time.Time{})
	copied()
	if c.b != nil {
		t.Errorf("a buffer of %d bytes is kept", cap(c.b))
	}
	add(2, false, "again", []byte{1}, day("0001-01-01")-1, at("1969-12-31T23:59:59.999999Z"))
	copied()
	for n, want := range map[int64]string{
		-1 << 15: "-32768|-32768|t|ä\x1f|ä\x1f|0|2000-01-01|946684800000000",
		1:        "1|1|f||NULL|18874368|NULL|NULL",
		2:        "2|2|f|again|again|1|0001-12-31 BC|-1",
	} {
		got := one[string](t, s, `SELECT concat_ws('|', i, s, b, t, coalesce(e, 'NULL'), length(raw), coalesce(d::text, 'NULL'),
			coalesce((extract(epoch FROM at) * 1000000)::bigint::text, 'NULL')) FROM public.every WHERE n = $1`, n)
		if got != want {
			t.Errorf("row %d: %q, want %q", n, got, want)
		}
	}
}
