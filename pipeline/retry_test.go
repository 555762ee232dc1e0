package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"longitude/study"
)

// patient is an ingester that does not sleep but notes how long it would have,
// and draws the longest wait that a bound allows.
func patient(waits *[]time.Duration) *Ingester {
	return &Ingester{Log: slog.New(slog.DiscardHandler),
		Random: func(n int64) int64 { return n - 1 },
		Sleep: func(ctx context.Context, d time.Duration) error {
			*waits = append(*waits, d)
			return ctx.Err()
		}}
}

func TestRetrying(t *testing.T) {
	temporary := &study.Error{Code: "sftp.unreachable", Temporary: true}
	permanent := &study.Error{Code: "sftp.host_key_changed"}
	asked := &study.Error{Code: "rest.slow_down", Temporary: true, RetryAfter: time.Minute}
	for _, c := range []struct {
		what  string
		retry study.Retry
		fails []error // of each attempt in turn; after them it succeeds
		tries int
		waits []time.Duration
		err   error
	}{
		{"success", study.Retry{Attempts: 3, Initial: time.Second, Max: time.Minute}, nil, 1, nil, nil},
		{"once", study.Retry{Attempts: 3, Initial: time.Second, Max: time.Minute}, []error{temporary}, 2, []time.Duration{time.Second - 1}, nil},
		{"doubling up to the bound", study.Retry{Attempts: 5, Initial: time.Second, Max: 3 * time.Second}, []error{temporary, temporary, temporary, temporary, temporary}, 5,
			[]time.Duration{time.Second - 1, 2*time.Second - 1, 3*time.Second - 1, 3*time.Second - 1}, temporary},
		{"not temporary", study.Retry{Attempts: 5, Initial: time.Second}, []error{permanent}, 1, nil, permanent},
		{"temporary, then not", study.Retry{Attempts: 5, Initial: time.Second, Max: time.Second}, []error{temporary, permanent}, 2, []time.Duration{time.Second - 1}, permanent},
		{"the source asks for longer", study.Retry{Attempts: 2, Initial: time.Second}, []error{asked}, 2, []time.Duration{time.Minute}, nil},
		{"no retry configured", study.Retry{}, []error{temporary}, 1, nil, temporary},
		{"no wait configured", study.Retry{Attempts: 2}, []error{temporary}, 2, []time.Duration{0}, nil},
		{"unknown errors are not temporary", study.Retry{Attempts: 5}, []error{errors.ErrUnsupported}, 1, nil, errors.ErrUnsupported},
	} {
		t.Run(c.what, func(t *testing.T) {
			var waits []time.Duration
			tries := 0
			err := patient(&waits).retrying(t.Context(), c.retry, func() error {
				if tries++; tries <= len(c.fails) {
					return c.fails[tries-1]
				}
				return nil
			})
			if !errors.Is(err, c.err) || tries != c.tries {
				t.Errorf("%d tries, %v", tries, err)
			}
			if len(waits) != len(c.waits) {
				t.Fatalf("waited %v, want %v", waits, c.waits)
			}
			for i := range waits {
				if waits[i] != c.waits[i] {
					t.Errorf("waited %v, want %v", waits, c.waits)
				}
			}
		})
	}
}

// The wait is drawn from the whole of [0, bound): full jitter.
func TestJitterIsFull(t *testing.T) {
	var waits []time.Duration
	in := patient(&waits)
	in.Random = func(n int64) int64 {
		if n != int64(time.Second) {
			t.Errorf("drawn below %v", time.Duration(n))
		}
		return 0
	}
	err := in.retrying(t.Context(), study.Retry{Attempts: 2, Initial: time.Second, Max: time.Second}, func() error { return &study.Error{Temporary: true} })
	if err == nil || len(waits) != 1 || waits[0] != 0 {
		t.Errorf("waited %v, %v", waits, err)
	}
}

// A run that is told to stop stops: while it waits, and instead of waiting. It
// reports what failed, not that it was stopped.
func TestRetryingStops(t *testing.T) {
	failure := &study.Error{Code: "sftp.unreachable", Temporary: true}
	ctx, cancel := context.WithCancel(t.Context())
	var waits []time.Duration
	in := patient(&waits)
	in.Sleep = func(ctx context.Context, _ time.Duration) error {
		cancel()
		return ctx.Err()
	}
	tries := 0
	fail := func() error { tries++; return failure }
	if err := in.retrying(ctx, study.Retry{Attempts: 9, Initial: time.Second}, fail); !errors.Is(err, failure) || tries != 1 {
		t.Errorf("stopped while waiting: %d tries, %v", tries, err)
	}
	if err := in.retrying(ctx, study.Retry{Attempts: 9, Initial: time.Second}, fail); !errors.Is(err, failure) || tries != 2 {
		t.Errorf("stopped before waiting: %d tries, %v", tries, err)
	}
}
