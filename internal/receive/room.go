package receive

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// room is a source with what is known of it from one request to the next.
type room struct {
	Source
	limiter *rate.Limiter

	mu      sync.Mutex
	counted time.Time
	waiting int
}

func newRoom(s Source) *room {
	return &room{Source: s, limiter: rate.NewLimiter(rate.Limit(s.Rate), s.Burst)}
}

// countEvery is how often the requests that wait are counted; in between, what is
// added counts.
const countEvery = time.Second

// full reports whether as many requests wait as may. A count that fails is no reason
// to refuse: the inbox will say itself that it is out of reach.
func (r *room) full(ctx context.Context, inbox Inbox, now time.Time) bool {
	r.mu.Lock()
	due := now.Sub(r.counted) >= countEvery
	if due {
		r.counted = now
	}
	full := r.waiting >= r.Waiting
	r.mu.Unlock()
	if !due {
		return full
	}
	n, _, err := inbox.Waiting(ctx, r.Name, r.Waiting)
	if err != nil {
		return full
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = n
	return n >= r.Waiting
}

// added counts a request that waits from now on.
func (r *room) added() {
	r.mu.Lock()
	r.waiting++
	r.mu.Unlock()
}

// once is a name that no other request has.
func once() []byte { return []byte(rand.Text()) }

// Outcomes are all that can become of a request, sorted.
var Outcomes = func() []string {
	all := []string{"accepted", "known"}
	for code := range maps.Keys(answers) {
		all = append(all, strings.TrimPrefix(code, "webhook."))
	}
	slices.Sort(all)
	return all
}()
