package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"longitude/study"
)

// Keys are the attributes a log line may carry. Anything else is written as
// "[redacted]", so that a value nobody thought about cannot leave by a log.
var Keys = []string{
	"actor", "address", "as_of", "attempt", "batch", "bytes", "code", "config", "connector", "counts",
	"due", "error", "files", "format", "hint", "item", "kind", "migration", "next", "object", "objects", "op", "outcome",
	"place", "point", "records", "release", "request", "retry_in", "revision", "route", "rows", "rule",
	"run", "schedule", "signal", "sink", "source", "stage", "state", "status", "study", "table", "took",
	"trigger", "version", "worker",
}

const (
	redacted  = "[redacted]"
	longValue = 500 // bytes of a text value that are kept
)

// NewLogger writes one JSON object a line to w. Messages are constants; what
// varies goes into attributes named in Keys. Values may be texts, numbers,
// booleans, times, durations, study.Counts, study.Digest and errors; of an
// error that is not a *study.Error only the type is written, because its text
// may quote input.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: redact}))
}

func redact(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return a
	}
	if !slices.Contains(Keys, a.Key) {
		return slog.String(name(a.Key), redacted)
	}
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, short(v.String()))
	case slog.KindDuration:
		return slog.String(a.Key, v.Duration().String())
	case slog.KindAny:
		return slog.Attr{Key: a.Key, Value: known(v.Any())}
	default:
		return slog.Attr{Key: a.Key, Value: v}
	}
}

// name keeps a key that a programmer wrote and hides one that was computed.
func name(key string) string {
	foreign := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }
	if key == "" || len(key) > 32 || strings.ContainsFunc(key, foreign) {
		return "redacted"
	}
	return key
}

func short(s string) string {
	if len(s) <= longValue {
		return s
	}
	return strings.ToValidUTF8(s[:longValue], "") + "…"
}

// known writes the values whose types cannot hold a participant's data.
func known(v any) slog.Value {
	switch v := v.(type) {
	case study.Counts:
		return slog.AnyValue(v)
	case study.Digest:
		return slog.StringValue(v.String())
	case error:
		return errorValue(v)
	}
	return slog.StringValue(redacted)
}

func errorValue(err error) slog.Value {
	var e *study.Error
	switch {
	case errors.As(err, &e):
		return slog.StringValue(short(e.Error()))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return slog.StringValue(err.Error())
	}
	return slog.StringValue(fmt.Sprintf("%T", err))
}
