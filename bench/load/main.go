// Command load pushes signed requests at a real `longitude serve` on this machine
// and looks whether it keeps what it promises: every request that was answered 202 is
// durable, once, however fast and however badly they come, and when the service is
// killed. Requests are sent at the times that the rate asks for, whatever the service
// does meanwhile, and latency counts from those times.
//
// Beside each other in one run: the floor, single rows of the same size inserted
// durably by as many clients without anything of ours, and the service.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// Plan is how much is sent. Nothing is without a bound.
type Plan struct {
	Rate    int           // requests a second, steady
	Phase   time.Duration // of each phase
	Bytes   int           // of a request
	Burst   int           // requests at once
	Trickle int           // connections that send a byte a second
}

func main() {
	log.SetFlags(log.Ltime)
	var p Plan
	flag.IntVar(&p.Rate, "rate", 3000, "requests a second")
	flag.DurationVar(&p.Phase, "phase", 20*time.Second, "length of each phase, at most 10m")
	flag.IntVar(&p.Bytes, "bytes", 4096, "size of a request")
	flag.IntVar(&p.Burst, "burst", 10_000, "requests sent within one second")
	flag.IntVar(&p.Trickle, "trickle", 1000, "connections that trickle")
	out := flag.String("out", filepath.Join("bench", "load"), "folder for RESULTS.md and results.json")
	flag.Parse()
	p.Phase = min(p.Phase, 10*time.Minute)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	results, err := Run(ctx, p)
	if err == nil {
		err = results.write(*out)
	}
	if err == nil && results.Lost+results.Doubled > 0 {
		err = fmt.Errorf("%d requests were acknowledged and are lost, %d are there twice", results.Lost, results.Doubled)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// Results is what a run found.
type Results struct {
	At           time.Time `json:"at"`
	Plan         Plan      `json:"plan"`
	FloorPerS    float64   `json:"floor_inserts_per_second"`
	Phases       []Phase   `json:"phases"`
	Acknowledged int       `json:"acknowledged"` // requests answered 202, by their id
	Lost         int       `json:"lost"`         // of these, not in the database afterwards
	Doubled      int       `json:"doubled"`      // ids that got two numbers
	Load         string    `json:"load"`         // of the machine when the run began
}

func (r *Results) write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	table := fmt.Sprintf("# Load\n\nWritten by `make load` on %s, load of the machine before it %s. Generator, service and PostgreSQL share its cores.\n\n"+
		"Bare durable inserts of the same size, 32 clients: %.0f/s.\n\n"+
		"| phase | sent/s | 202/s | of the floor | p50 | p99 | p99.9 | worst | 202 | 401 | 409 | 429 | 503 | no answer | RSS |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
		r.At.Format(time.DateOnly), r.Load, r.FloorPerS)
	for _, p := range r.Phases {
		table += fmt.Sprintf("| %s | %.0f | %.0f | %.2f | %s | %s | %s | %s | %d | %d | %d | %d | %d | %d | %d MiB |\n", p.Name, p.SentPerS, p.AcceptedPerS, p.AcceptedPerS/r.FloorPerS,
			p.P50, p.P99, p.P999, p.Worst, p.Status["202"], p.Status["401"], p.Status["409"], p.Status["429"], p.Status["503"], p.Status["none"], p.PeakRSS>>20)
	}
	table += fmt.Sprintf("\nAcknowledged %d requests; lost %d; with two numbers %d. Latency is of accepted requests, from the time at which they were due.\n", r.Acknowledged, r.Lost, r.Doubled)
	return errors.Join(os.WriteFile(filepath.Join(dir, "results.json"), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(table), 0o644))
}

// Run does all phases against a service and a database of their own.
func Run(ctx context.Context, p Plan) (*Results, error) {
	s, err := newService(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	r := &Results{At: time.Now().UTC().Truncate(time.Second), Plan: p, Load: loadAverage()}
	log.Print("the floor")
	if r.FloorPerS, err = s.floor(ctx, p); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	g := newGenerator(s, p)
	for _, phase := range []struct {
		name string
		mix  mix
	}{
		{"steady", mix{rate: p.Rate, lasts: p.Phase}},
		{"20 % again, 5 % forged", mix{rate: p.Rate, lasts: p.Phase, again: 20, forged: 5}},
		{"burst", mix{rate: p.Burst, lasts: time.Second}},
		{"three times as much", mix{rate: 3 * p.Rate, lasts: p.Phase}},
		{"steady afterwards", mix{rate: p.Rate, lasts: p.Phase}},
		{"beside slow senders", mix{rate: p.Rate, lasts: p.Phase, trickle: p.Trickle}},
		{"killed in the middle", mix{rate: p.Rate, lasts: p.Phase, kill: true}},
	} {
		log.Print(phase.name)
		result, err := g.run(ctx, phase.mix)
		if err != nil {
			return nil, err
		}
		result.Name = phase.name
		r.Phases = append(r.Phases, result)
	}
	r.Acknowledged, r.Doubled = len(g.acknowledged), g.doubled
	r.Lost, err = s.lost(ctx, g.acknowledged)
	return r, err
}
