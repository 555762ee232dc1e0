package rest

import (
	"context"
	"iter"
	"sync"
)

// ahead gets count things, up to n at once, and yields them in order, up to the
// first error. Whoever stops listening stops the getting.
func ahead[T any](ctx context.Context, n, count int, get func(ctx context.Context, i int) (T, error)) iter.Seq2[T, error] {
	type result struct {
		thing T
		err   error
	}
	return func(yield func(T, error) bool) {
		var running sync.WaitGroup
		defer running.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var coming []chan result
		next := 0
		start := func() {
			if next == count {
				return
			}
			i, c := next, make(chan result, 1)
			next++
			coming = append(coming, c)
			running.Go(func() {
				thing, err := get(ctx, i)
				c <- result{thing, err}
			})
		}
		for range n {
			start()
		}
		for len(coming) > 0 {
			r := <-coming[0]
			coming = coming[1:]
			if r.err == nil {
				start()
			}
			if !yield(r.thing, r.err) || r.err != nil {
				return
			}
		}
	}
}
