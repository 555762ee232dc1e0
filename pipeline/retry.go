package pipeline

import (
	"context"
	"errors"
	"time"

	"longitude/study"
)

// retrying runs fn again while its error is temporary, waiting with full
// jitter (a uniform wait up to a doubling bound) or as long as the source asks.
// Blind retries lock accounts, so nothing else is retried.
func (in *Ingester) retrying(ctx context.Context, r study.Retry, fn func() error) error {
	bound := r.Initial
	for attempt := 1; ; attempt++ {
		err := fn()
		if err == nil || attempt >= max(1, r.Attempts) || !study.IsTemporary(err) || ctx.Err() != nil {
			return err
		}
		wait := time.Duration(0)
		if bound > 0 {
			wait = time.Duration(in.Random(int64(bound)))
		}
		var asked *study.Error
		if errors.As(err, &asked) && asked.RetryAfter > wait {
			wait = asked.RetryAfter
		}
		in.Log.Warn("trying again", "code", codeOf(err), "attempt", attempt, "retry_in", wait.Round(time.Millisecond))
		if serr := in.Sleep(ctx, wait); serr != nil {
			return err
		}
		bound = min(2*bound, r.Max)
	}
}

func codeOf(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return "internal"
}
