package receive

import (
	"context"
	"time"

	"longitude/study"
)

// letter is a request that waits to be committed, and where its answer goes.
type letter struct {
	request study.Request
	answer  chan answer
}

type answer struct {
	receipt study.Receipt
	err     error
}

// What is committed at once: whatever came while the group before was committed, and
// no more than this. Nobody waits for others to come.
const (
	groupSize  = 512
	groupBytes = 16 << 20
	groupTakes = 10 * time.Second
)

// send has a request committed with those that came meanwhile.
func (d *Door) send(ctx context.Context, q study.Request) (study.Receipt, error) {
	l := letter{q, make(chan answer, 1)}
	select {
	case d.letters <- l:
	default:
		return study.Receipt{}, later("webhook.busy", "too many requests come at once", "the sender tries again", time.Second)
	}
	select {
	case a := <-l.answer:
		return a.receipt, a.err
	case <-ctx.Done(): // the sender is gone; its request may still become durable
		return study.Receipt{}, refusal("webhook.cut", "a request's sender did not wait for the answer", "look at the network between the sender and here; the sender tries again")
	}
}

// Commit makes requests durable, group by group, until ctx ends. Close the door
// first: who still waits then is told to come back.
func (d *Door) Commit(ctx context.Context) {
	for {
		select {
		case first := <-d.letters:
			d.commit(ctx, d.group(first))
		case <-ctx.Done():
			for {
				select {
				case l := <-d.letters:
					l.answer <- answer{err: later("webhook.busy", "the service is closing", "the sender tries again", time.Second)}
				default:
					return
				}
			}
		}
	}
}

// group is the first letter and those behind it.
func (d *Door) group(first letter) []letter {
	letters, bytes := []letter{first}, len(first.request.Box)
	for len(letters) < groupSize && bytes < groupBytes {
		select {
		case l := <-d.letters:
			letters, bytes = append(letters, l), bytes+len(l.request.Box)
		default:
			return letters
		}
	}
	return letters
}

// commit makes a group durable and answers each of it.
func (d *Door) commit(ctx context.Context, letters []letter) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), groupTakes)
	defer cancel()
	requests := make([]study.Request, len(letters))
	for i := range letters {
		requests[i] = letters[i].request
	}
	receipts, err := d.o.Inbox.Receive(ctx, requests)
	if err == nil {
		study.Reached(study.PointReceived)
	}
	for i := range letters {
		a := answer{err: err}
		if err == nil {
			a.receipt = receipts[i]
		}
		letters[i].answer <- a
	}
}
