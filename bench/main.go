// Command bench measures Longitude against the limits of the machine it runs on
// and against what a user would pick instead, and writes RESULTS.md and
// results.json beside itself. Every comparison is made of interleaved runs, with
// a control (the yardstick against itself) beside it, and every output is
// checked against what the generated workload is known to hold.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"longitude/internal/localpg"
)

// sizes of the workload, in participants of 24 records each.
var sizes = []int{500, 5_000, 50_000}

func main() {
	log.SetFlags(log.Ltime)
	quick := flag.Bool("quick", false, "three runs, without the standard size")
	out := flag.String("out", "bench", "folder for RESULTS.md and results.json")
	drop := flag.Int("sftp", 0, "measure a drop of so many small files on an SFTP server, at a tenth, a third and all of them, and print the times")
	transformOf := flag.String("transform", "", "measure transform alone on the workload in this folder, and print the times")
	profile := flag.String("profile", "", "with -transform: write a CPU profile to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *transformOf, *profile, *quick, *out, *drop); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, transformOf, profile string, quick bool, out string, drop int) error {
	if transformOf != "" {
		return transformAlone(ctx, transformOf, profile)
	}
	return measure(ctx, quick, out, drop)
}

func measure(ctx context.Context, quick bool, out string, drop int) error {
	dir, err := os.MkdirTemp("", "longitude-bench-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o711); err != nil { // the database's account passes through
		return err
	}
	b := &bench{dir: dir, binary: filepath.Join(dir, "longitude"), runs: 5, sizes: sizes}
	if quick {
		b.runs, b.sizes = 3, sizes[:2]
	}
	log.Print("building")
	if text, err := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "./cmd/longitude").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}
	if b.cluster, err = localpg.Start(ctx, filepath.Join(dir, "postgres"), localpg.Options{}); err != nil {
		return err
	}
	defer func() { _ = b.cluster.Stop() }()
	if drop > 0 {
		return errors.Join(b.smallFiles(ctx, max(1, drop/10)), b.smallFiles(ctx, max(1, drop/3)), b.smallFiles(ctx, drop))
	}
	b.duck = findDuckDB(ctx)
	results := Results{At: time.Now().UTC().Truncate(time.Second), Runs: b.runs, Machine: machine(ctx, b)}
	for _, participants := range b.sizes {
		size, err := b.size(ctx, participants)
		if err != nil {
			return err
		}
		results.Sizes = append(results.Sizes, size)
	}
	return results.write(out)
}

// bench is what all measurements share.
type bench struct {
	dir     string
	binary  string // longitude, built without the race detector
	cluster *localpg.Cluster
	duck    *duckDB // nil when it cannot be had
	runs    int
	sizes   []int
}
