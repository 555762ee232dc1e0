// Command longitude turns the drops, webhooks and EDC systems of a clinical
// study into versioned, de-identified, verifiable releases.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// memoryTarget is the memory from which on the collector works harder. What a
// run holds is bounded, whatever it reads; GOMEMLIMIT says otherwise.
const memoryTarget = 192 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryTarget)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
