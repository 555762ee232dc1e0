package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/localpg"
)

// Results are everything one run of the benchmark found.
type Results struct {
	At      time.Time `json:"at"`
	Runs    int       `json:"runs"`
	Machine Machine   `json:"machine"`
	Sizes   []Size    `json:"sizes"`
}

// Size is one size of the workload with the samples of every measure.
type Size struct {
	Participants int                 `json:"participants"`
	Records      int                 `json:"records"`
	Bytes        int64               `json:"csv_bytes"`
	Stored       map[string]int64    `json:"stored_rows"` // by table
	Samples      map[string][]Sample `json:"samples"`     // by measure, in order of the runs
}

// median of one property of a measure; NaN when it was not taken.
func (s *Size) median(measure string, of func(Sample) float64) float64 {
	var values []float64
	for _, sample := range s.Samples[measure] {
		values = append(values, of(sample))
	}
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}

func seconds(s Sample) float64  { return s.Seconds }
func totalCPU(s Sample) float64 { return s.CPU + s.ServerCPU }
func peakMiB(s Sample) float64  { return float64(s.PeakRSS) / (1 << 20) }

// best names the faster of the variants of a peer's measure.
func (s *Size) best(measure string) string {
	return slices.MinFunc([]string{measure + ", " + duckVariants[0], measure + ", " + duckVariants[1]}, func(a, b string) int {
		return cmp.Compare(s.median(a, seconds), s.median(b, seconds))
	})
}

// ratio is how many times as fast a measure is as its yardstick.
func (s *Size) ratio(measure, yardstick string, of func(Sample) float64) float64 {
	return s.median(yardstick, of) / s.median(measure, of)
}

// write puts RESULTS.md and results.json into dir.
func (r *Results) write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	page := r.page()
	fmt.Print(page)
	return os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(page), 0o644)
}

func (r *Results) page() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "# Results\n\nWritten by `make bench` on %s: medians of %d interleaved runs. Speed is judged by ratios; their controls\nare the yardstick against itself and show how far to trust them.\n\n", r.At.Format(time.DateOnly), r.Runs)
	fmt.Fprintf(&b, "%s, %d cores, %.0f GiB, Linux %s, load %s at the start · %s · PostgreSQL %s (durable) · DuckDB %s · commit %s\n\n",
		m.CPU, m.Cores, m.MemoryGB, m.Kernel, m.Load, m.Go, m.Postgres, m.DuckDB, m.Commit)
	r.ratios(&b)
	r.measures(&b)
	r.stored(&b)
	return b.String()
}

// A comparison is one target: a measure against its yardstick.
type comparison struct {
	id, what           string
	measure, yardstick string
	target             float64
}

var comparisons = []comparison{
	{"P1", "first load, everything recorded, against bare COPY of the rows stored", "sync", "copy", 0.75},
	{"P4", "release build against DuckDB from CSV to Parquet", "release", "duckdb", 1.2},
}

// resolve names the yardstick and its control at one size.
func (c *comparison) resolve(s *Size) (yardstick, control string) {
	if c.yardstick == "duckdb" {
		yardstick = s.best(c.yardstick)
		return yardstick, strings.Replace(yardstick, "duckdb", "duckdb control", 1)
	}
	return c.yardstick, c.yardstick + " control"
}

func (r *Results) ratios(b *strings.Builder) {
	b.WriteString("## Against the targets\n\n| | | records | ratio | target | ratio of CPU | control |\n|---|---|--:|--:|--:|--:|--:|\n")
	for _, c := range comparisons {
		for i := range r.Sizes {
			s := &r.Sizes[i]
			yardstick, control := c.resolve(s)
			fmt.Fprintf(b, "| %s | %s | %d | %s | ≥ %.2f | %s | %s |\n", c.id, c.what, s.Records, figure(s.ratio(c.measure, yardstick, seconds)), c.target,
				figure(s.ratio(c.measure, yardstick, totalCPU)), figure(s.ratio(control, yardstick, seconds)))
		}
	}
	for i := range r.Sizes {
		s := &r.Sizes[i]
		fmt.Fprintf(b, "| P2 | touched files with the same bytes, million records a second | %d | %s | | | |\n", s.Records, figure(float64(s.Records)/s.median("sync touched", seconds)/1e6))
		fmt.Fprintf(b, "| P2 | rewritten files with the same records, million records a second | %d | %s | ≥ 2.50 | | |\n", s.Records, figure(float64(s.Records)/s.median("sync rewritten", seconds)/1e6))
		fmt.Fprintf(b, "| | transform alone, one core, windows and checks on, million records a second | %d | %s | ≥ 1.50 | | |\n", s.Records, figure(float64(s.Records)/s.median("transform: decode, map, judge", seconds)/1e6))
		fmt.Fprintf(b, "| P7 | peak memory of sync, MiB | %d | %s | ≤ 256 | | |\n", s.Records, figure(s.median("sync", peakMiB)))
		fmt.Fprintf(b, "| P7 | peak memory of release build, MiB | %d | %s | ≤ 256 | | |\n", s.Records, figure(s.median("release", peakMiB)))
	}
	b.WriteByte('\n')
}

// measures lists every measure at every size. The slope is the exponent of its
// growth between the two largest sizes: 1 is linear.
func (r *Results) measures(b *strings.Builder) {
	b.WriteString("## Every measure\n\nWhole processes, from start to end; DuckDB and COPY without theirs.\n\n| measure | records | seconds | records/s | CPU s, program + database | peak MiB | slope |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, measure := range r.measured() {
		for i := range r.Sizes {
			s := &r.Sizes[i]
			slope := math.NaN()
			if i > 0 && i == len(r.Sizes)-1 {
				before := &r.Sizes[i-1]
				slope = math.Log(s.median(measure, seconds)/before.median(measure, seconds)) / math.Log(float64(s.Records)/float64(before.Records))
			}
			took := s.median(measure, seconds)
			fmt.Fprintf(b, "| %s | %d | %.2f | %.0f | %.2f + %.2f | %.0f | %s |\n", measure, s.Records, took, float64(s.Records)/took,
				s.median(measure, func(x Sample) float64 { return x.CPU }), s.median(measure, func(x Sample) float64 { return x.ServerCPU }),
				s.median(measure, peakMiB), figure(slope))
		}
	}
	b.WriteByte('\n')
}

func (r *Results) measured() (names []string) {
	for _, s := range r.Sizes {
		for name := range s.Samples {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func (r *Results) stored(b *strings.Builder) {
	s := r.Sizes[len(r.Sizes)-1]
	fmt.Fprintf(b, "## Rows that a first load of %d records stores\n\n| table | rows |\n|---|--:|\n", s.Records)
	for _, table := range storedTables {
		fmt.Fprintf(b, "| %s | %d |\n", table, s.Stored[table])
	}
}

func figure(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return fmt.Sprintf("%.2f", x)
}

func serverVersion(ctx context.Context, c *localpg.Cluster) string {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return "unknown"
	}
	defer func() { _ = conn.Close(ctx) }()
	version, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	return version
}
