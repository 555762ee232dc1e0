package gcs

import (
	"context"
	"sync"
)

// atOnce bounds the transfers of one publication that are under way: with it what
// they hold in memory, atOnce times objectstore.Chunk.
const atOnce = 4

// crew does pieces of work side by side until one fails.
type crew struct {
	ctx   context.Context // ends when one failed
	stop  context.CancelFunc
	slots chan struct{}
	work  sync.WaitGroup

	mu     sync.Mutex
	failed error // the first failure
}

func newCrew(ctx context.Context) *crew {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	return &crew{ctx: ctx, stop: stop, slots: make(chan struct{}, atOnce)}
}

// do begins a piece of work, which ends when ctx does, once there is room for it.
// It answers why an earlier one failed.
func (c *crew) do(ctx context.Context, work func(context.Context) error) error {
	select {
	case <-c.ctx.Done():
		return c.wait()
	case <-ctx.Done():
		return ctx.Err()
	case c.slots <- struct{}{}:
	}
	c.work.Go(func() {
		defer func() { <-c.slots }()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.ctx, cancel)()
		if err := work(ctx); err != nil {
			c.fail(err)
		}
	})
	return nil
}

func (c *crew) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = err
	}
	c.stop()
}

// wait ends when all work has; it answers the first failure.
func (c *crew) wait() error {
	c.work.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}
