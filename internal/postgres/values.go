package postgres

import (
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"longitude/study"
)

// dbDate scans a date column into a study.Date.
type dbDate struct{ date study.Date }

// ScanDate implements pgtype.DateScanner.
func (d *dbDate) ScanDate(v pgtype.Date) error {
	d.date = study.NoDate
	if v.Valid {
		d.date = study.Date(v.Time.Unix() / 86400) // midnight UTC, in any year
	}
	return nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func itoa(n int) string { return strconv.Itoa(n) }
