package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"longitude/internal/columnar"
	"longitude/internal/synth"
)

// asOf is the day releases are judged on: after the workload's last window.
const asOf = "2026-01-01"

// round is one repetition: a fresh database, one run of everything.
type round struct {
	*bench
	truth  synth.WorkloadTruth
	data   string // workload and configuration
	url    string
	sample func(measure string, s Sample)
}

// size measures everything at one size, run after run.
func (b *bench) size(ctx context.Context, participants int) (Size, error) {
	data := filepath.Join(b.dir, fmt.Sprint(participants))
	truth, err := synth.Workload(data, synth.WorkloadOptions{Seed: 1, Participants: participants})
	if err != nil {
		return Size{}, err
	}
	defer func() { _ = os.RemoveAll(data) }()
	size := Size{Participants: participants, Records: truth.Records, Bytes: truth.Bytes, Samples: map[string][]Sample{}}
	for i := range b.runs {
		log.Printf("%d records, run %d of %d", truth.Records, i+1, b.runs)
		name := fmt.Sprintf("bench_%d_%d", participants, i)
		if err := b.cluster.CreateDatabase(ctx, name); err != nil {
			return size, err
		}
		r := &round{bench: b, truth: truth, data: data, url: b.cluster.URL(name),
			sample: func(measure string, s Sample) { size.Samples[measure] = append(size.Samples[measure], s) }}
		if err := r.run(ctx, &size); err != nil {
			return size, err
		}
		if err := b.drop(ctx, name); err != nil {
			return size, err
		}
	}
	return size, nil
}

func (b *bench) drop(ctx context.Context, database string) error {
	conn, err := pgx.Connect(ctx, b.cluster.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "DROP DATABASE "+pgx.Identifier{database}.Sanitize()+" WITH (FORCE)")
	return err
}

// run interleaves what is measured with its yardsticks and their controls.
func (r *round) run(ctx context.Context, size *Size) error {
	if err := os.RemoveAll(filepath.Join(r.data, "config", ".longitude")); err != nil {
		return err
	}
	if _, err := r.longitude(ctx, "migrate"); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		r.transform, r.peer("duckdb"), r.load, r.release, r.limit(size), r.peer("duckdb control"),
		r.again("sync touched", len(r.truth.Files), sameBytes), r.again("sync rewritten", 2*len(r.truth.Files), otherBytes),
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// longitude runs one command of the real program against the round's database.
func (r *round) longitude(ctx context.Context, args ...string) (Sample, error) {
	before := serverCPU(r.cluster)
	args = append([]string{"--quiet", "--output", "json", "--config", filepath.Join(r.data, "config")}, args...)
	s, _, err := command(ctx, []string{"DATABASE_URL=" + r.url}, r.binary, args...)
	s.ServerCPU = serverCPU(r.cluster) - before
	return s, err
}

// load is the first sync: everything recorded.
func (r *round) load(ctx context.Context) error {
	s, err := r.longitude(ctx, "sync")
	if err != nil {
		return err
	}
	r.sample("sync", s)
	return r.stored(ctx, len(r.truth.Files))
}

// stored compares what is recorded with what the workload holds, and the number
// of batches with the files that brought something to look at.
func (r *round) stored(ctx context.Context, batches int) error {
	conn, err := pgx.Connect(ctx, r.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var records, recorded int
	err = conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM research.record_version), (SELECT count(*) FROM research.batch WHERE kind = 'object')`).Scan(&records, &recorded)
	if err != nil {
		return err
	}
	if records != r.truth.Records || recorded != batches {
		return fmt.Errorf("%d records in %d batches are recorded, the workload holds %d in %d", records, recorded, r.truth.Records, batches)
	}
	return nil
}

// again syncs every file once more, with the bytes that of makes of it, and
// checks that it was taken for new as often as it should be.
func (r *round) again(measure string, batches int, of func([]byte) []byte) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, f := range r.truth.Files {
			path := filepath.Join(r.data, f.Name)
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := deliver(path, of(text)); err != nil {
				return err
			}
			defer func() { _ = deliver(path, text) }()
		}
		s, err := r.longitude(ctx, "sync")
		if err != nil {
			return err
		}
		r.sample(measure, s)
		return r.stored(ctx, batches)
	}
}

// deliver writes a file and then its marker, as a sender does.
func deliver(path string, text []byte) error {
	return errors.Join(os.WriteFile(path, text, 0o644), os.WriteFile(path+".done", nil, 0o644))
}

func sameBytes(text []byte) []byte { return text }

// otherBytes are other bytes of the same records: lines end in CRLF.
func otherBytes(text []byte) []byte { return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")) }

// release builds and publishes one release of everything.
func (r *round) release(ctx context.Context) error {
	s, err := r.longitude(ctx, "release", "build", "--as-of", asOf)
	if err != nil {
		return err
	}
	r.sample("release", s)
	dir := filepath.Join(r.data, "config", ".longitude", "releases", "bench", "bench_r001")
	return r.counted(filepath.Join(dir, "data", "%s", "*.parquet"))
}

// counted compares the rows in Parquet files, one pattern per form, with the workload's.
func (r *round) counted(pattern string) error {
	for _, f := range r.truth.Files {
		paths, err := filepath.Glob(strings.Replace(pattern, "%s", f.Form, 1))
		if err != nil {
			return err
		}
		rows := int64(0)
		for _, path := range paths {
			n, err := parquetRows(path)
			if err != nil {
				return err
			}
			rows += n
		}
		if rows != int64(f.Rows) {
			return fmt.Errorf("form %s has %d rows in Parquet, the workload holds %d", f.Form, rows, f.Rows)
		}
	}
	return nil
}

func parquetRows(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	footer, err := columnar.ReadFooter(f, filepath.Base(path))
	return footer.Rows, err
}
