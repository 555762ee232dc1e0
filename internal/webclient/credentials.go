package webclient

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Credentials put on a request the proof of who asks. They are asked for each
// attempt anew, because a signature may hold the time.
type Credentials interface {
	Sign(ctx context.Context, r *http.Request, body []byte) error
}

// Renewer is the optional ability of Credentials to get a new proof. It is asked
// once for a request that was answered 401, and not again if that does not help.
// used is the request that was refused, as it was signed.
type Renewer interface {
	Renew(ctx context.Context, used *http.Request) error
}

// Signed are credentials without a renewal: a key, a password, a signature.
type Signed func(ctx context.Context, r *http.Request, body []byte) error

// Sign implements Credentials.
func (s Signed) Sign(ctx context.Context, r *http.Request, body []byte) error {
	return s(ctx, r, body)
}

// Token is a credential that a server gives out for a while. It may be shared by
// several goroutines.
type Token struct {
	// Fetch asks for a token; valid says for how long it is good, 0 = unknown.
	Fetch func(ctx context.Context) (token string, valid time.Duration, err error)
	// Put puts it on a request; nil = Authorization: Bearer.
	Put func(r *http.Request, token string)
	Now func() time.Time // nil = time.Now

	mu    sync.Mutex
	text  string
	until time.Time // zero = unknown
}

// spare is how long before its end a token is replaced.
const spare = 30 * time.Second

// Sign implements Credentials.
func (t *Token) Sign(ctx context.Context, r *http.Request, _ []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text == "" || !t.until.IsZero() && !t.now().Before(t.until) {
		if err := t.fetch(ctx); err != nil {
			return err
		}
	}
	t.put(r)
	return nil
}

func (t *Token) put(r *http.Request) {
	if t.Put == nil {
		r.Header.Set("Authorization", "Bearer "+t.text)
		return
	}
	t.Put(r, t.text)
}

// Renew implements Renewer. A token that another goroutine has replaced meanwhile
// is not replaced again.
func (t *Token) Renew(ctx context.Context, used *http.Request) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := used.Clone(ctx)
	t.put(now)
	if t.text != "" && (now.URL.String() != used.URL.String() || !equalHeader(now.Header, used.Header)) {
		return nil
	}
	return t.fetch(ctx)
}

func equalHeader(a, b http.Header) bool {
	for name := range a {
		if a.Get(name) != b.Get(name) {
			return false
		}
	}
	return len(a) == len(b)
}

func (t *Token) fetch(ctx context.Context) error {
	text, valid, err := t.Fetch(ctx)
	if err != nil {
		return err
	}
	t.text, t.until = text, time.Time{}
	if valid > 0 {
		t.until = t.now().Add(max(valid-spare, valid/2))
	}
	return nil
}

func (t *Token) now() time.Time {
	if t.Now == nil {
		return time.Now()
	}
	return t.Now()
}
