package main

import (
	"context"
	"sync"
	"time"

	"longitude/internal/audit"
)

// refused records that whoever runs this was refused, when err refuses by authority
// or policy, and answers err.
func (h *house) refused(ctx context.Context, studyName, object string, err error) error {
	if err == nil {
		return nil
	}
	actor, unnamed := whoever()
	if unnamed != nil {
		actor = ""
	}
	return h.store.Refused(ctx, actor, studyName, object, err)
}

// denials records what the door of the API refuses. Its callers have no names yet, and
// what they sent is theirs: an event says only which rule refused, and how often. One
// a minute and rule is enough: a caller who is refused a thousand times must not fill
// the log.
type denials struct {
	record func(d denial, times int)
	now    func() time.Time

	mu   sync.Mutex
	last map[denial]time.Time
	more map[denial]int // since the last event
}

// denial is what was refused, and by which rule.
type denial struct {
	action                     audit.Action
	actor, study, object, code string
}

// deniedEvery is the least time between two events of one rule.
const deniedEvery = time.Minute

// note counts a refusal and records it, unless one was recorded a moment ago. Those
// that are only counted are part of the next event.
func (d *denials) note(what denial) {
	d.mu.Lock()
	now := d.now()
	d.more[what]++
	times := d.more[what]
	due := now.Sub(d.last[what]) >= deniedEvery
	if due {
		d.last[what], d.more[what] = now, 0
	}
	d.mu.Unlock()
	if due {
		d.record(what, times)
	}
}

// flush records what was only counted.
func (d *denials) flush() {
	d.mu.Lock()
	left := d.more
	d.more = map[denial]int{}
	d.mu.Unlock()
	for what, times := range left {
		if times > 0 {
			d.record(what, times)
		}
	}
}

// denials are those of the service's doors.
func (s *service) denials() *denials {
	return &denials{now: s.h.now, last: map[denial]time.Time{}, more: map[denial]int{}, record: func(d denial, times int) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err := s.h.store.Audit(ctx, d.action, d.actor, d.study, d.object, audit.Denied, map[string]any{"code": d.code, "times": times})
		if err != nil {
			s.h.a.log.Error("a refusal is not in the audit log", "code", codeOf(err))
		}
	}}
}

// noteAPI counts a refusal at the door of the API.
func (d *denials) noteAPI(code string) {
	d.note(denial{audit.AccessDenied, "api", "", "service", code})
}
