package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// duckVersion is the peer that figures are compared with.
const duckVersion = "1.5.6"

//go:embed peer.py
var duckScript string

// duckDB is the peer: CSV → keyed hash of the participant, date shift → Parquet
// (zstd), without a store, without an audit log, without gates.
type duckDB struct{ python, version string }

// findDuckDB installs DuckDB's Python package into a cache of its own, once. It
// is nil, and the log says so, where Python or the package cannot be had.
func findDuckDB(ctx context.Context) *duckDB {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	home := filepath.Join(cache, "longitude-bench", "duckdb-"+duckVersion)
	python := filepath.Join(home, "bin", "python")
	version := func() (string, error) {
		text, err := exec.CommandContext(ctx, python, "-c", "import duckdb; print(duckdb.__version__)").Output()
		return strings.TrimSpace(string(text)), err
	}
	have, err := version()
	if err != nil {
		log.Print("installing DuckDB ", duckVersion)
		for _, args := range [][]string{{"python3", "-m", "venv", home}, {python, "-m", "pip", "install", "--quiet", "duckdb==" + duckVersion}} {
			if text, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
				log.Printf("without DuckDB: %v\n%s", err, text)
				return nil
			}
		}
		if have, err = version(); err != nil {
			log.Print("without DuckDB: it does not start")
			return nil
		}
	}
	return &duckDB{python, have}
}

// duckVariants are ways of writing the same job; the faster one is the peer at
// its best.
var duckVariants = []string{"one by one", "at once"}

// peer times DuckDB doing the release's job straight from CSV. The interpreter's
// start is not counted.
func (r *round) peer(measure string) func(context.Context) error {
	return func(ctx context.Context) error {
		if r.duck == nil {
			return nil
		}
		for _, variant := range duckVariants {
			out := filepath.Join(r.dir, "duckdb")
			if err := os.RemoveAll(out); err != nil {
				return err
			}
			s, text, err := command(ctx, nil, r.duck.python, "-c", duckScript, r.data, out, variant)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(text, &s); err != nil { // seconds and CPU of the job alone
				return err
			}
			r.sample(measure+", "+variant, s)
			if err := r.counted(filepath.Join(out, "%s.parquet")); err != nil {
				return err
			}
		}
		return nil
	}
}
