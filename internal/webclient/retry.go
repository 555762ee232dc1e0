package webclient

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"longitude/study"
)

// The wait before another attempt is uniform up to a doubling bound: full jitter,
// so that sources that failed together do not come back together.
const (
	firstWait = 500 * time.Millisecond
	longest   = 30 * time.Second
)

// retrying asks again while the error is temporary, attempts are left and there is
// time to wait as long as the server wants. What only the next run can wait for is
// told with how long that is.
func (c *Client) retrying(ctx context.Context, r Request, ask func() error) error {
	end := c.rt.Now().Add(c.limits.Deadline)
	bound := firstWait
	for attempt := 1; ; attempt++ {
		err := ask()
		var e *study.Error
		if err == nil || ctx.Err() != nil || attempt >= c.limits.Attempts || !errors.As(err, &e) || !e.Temporary || r.Once && !unheard(e) {
			return err
		}
		wait := max(time.Duration(c.rt.Random(int64(bound))), e.RetryAfter)
		if c.rt.Now().Add(wait).After(end) {
			return err
		}
		c.rt.Log.Debug("asking again", "op", r.Op, "code", e.Code, "attempt", attempt, "retry_in", wait.Round(time.Millisecond))
		if serr := c.rt.Sleep(ctx, wait); serr != nil {
			return err
		}
		bound = min(2*bound, longest)
	}
}

// unheard reports whether the server cannot have acted on a request that failed so.
func unheard(e *study.Error) bool {
	return slices.Contains([]string{errUnreachable.Code, errUnresolved.Code, errBusy.Code, errResting.Code}, e.Code)
}

// maxRetryAfter is the longest that a server is believed.
const maxRetryAfter = 24 * time.Hour

// RetryAfter is how long a server asks to be left alone, by the header of that name
// in seconds or as a date (RFC 9110 10.2.3); 0 if it does not.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 {
		return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
	}
	if when, err := http.ParseTime(text); err == nil {
		return min(max(when.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
