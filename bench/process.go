package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"longitude/internal/localpg"
)

// Sample is one run of one measure.
type Sample struct {
	Seconds   float64 `json:"seconds"`
	CPU       float64 `json:"cpu_seconds"`        // of the program measured
	ServerCPU float64 `json:"server_cpu_seconds"` // of PostgreSQL's backends meanwhile
	PeakRSS   int64   `json:"peak_rss_bytes"`     // of the program measured; 0 for this process itself
}

// command runs a program to its end and measures the whole of it.
func command(ctx context.Context, env []string, name string, args ...string) (Sample, []byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failure
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return Sample{}, nil, err
	}
	peak := make(chan int64)
	ended := make(chan struct{})
	go func() { peak <- watchPeak(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	took := time.Since(started)
	close(ended)
	s := Sample{Seconds: took.Seconds(), CPU: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), PeakRSS: <-peak}
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, failure.Bytes())
	}
	return s, out.Bytes(), err
}

// watchPeak follows the largest resident set of a process until it has ended.
// What wait(2) tells would include this process, which it was forked from.
func watchPeak(pid int, ended <-chan struct{}) (peak int64) {
	status := fmt.Sprintf("/proc/%d/status", pid)
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		kib, _, _ := strings.Cut(field(status, "VmHWM"), " ")
		peak = max(peak, int64(number(kib))<<10)
		select {
		case <-ended:
			tick.Stop()
			return peak
		case <-tick.C:
		}
	}
}

// ownCPU is the processor time this process has used so far, in seconds.
func ownCPU() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// clockTicks of /proc per second: a constant of Linux's interface.
const clockTicks = 100

// serverCPU is the processor time that a cluster's processes have used so far,
// in seconds: the postmaster, those that have ended, and its children. 0 where
// there is no /proc.
func serverCPU(c *localpg.Cluster) float64 {
	text, err := os.ReadFile(filepath.Join(c.Dir(), "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	postmaster, _, _ := strings.Cut(string(text), "\n")
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	ticks := 0
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		// The fields after the name in parentheses; proc(5): 1 is the parent, 11 and 12
		// the times of the process, 13 and 14 those of its ended children.
		_, rest, _ := strings.Cut(string(text), ") ")
		f := strings.Fields(rest)
		if len(f) < 15 {
			continue
		}
		if f[1] == postmaster {
			ticks += number(f[11]) + number(f[12])
		}
		if filepath.Base(filepath.Dir(path)) == postmaster {
			ticks += number(f[11]) + number(f[12]) + number(f[13]) + number(f[14])
		}
	}
	return float64(ticks) / clockTicks
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// Machine is what the figures were taken on.
type Machine struct {
	CPU      string  `json:"cpu"`
	Cores    int     `json:"cores"`
	MemoryGB float64 `json:"memory_gib"`
	Kernel   string  `json:"kernel"`
	Load     string  `json:"load"` // one-minute load when the run began: figures of a busy machine are no figures
	Go       string  `json:"go"`
	Postgres string  `json:"postgres"`
	DuckDB   string  `json:"duckdb"`
	Commit   string  `json:"commit"`
}

func machine(ctx context.Context, b *bench) Machine {
	m := Machine{CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Go: runtime.Version(),
		Kernel: strings.TrimSpace(read("/proc/sys/kernel/osrelease")), DuckDB: "not available", Commit: "unknown"}
	kib, _, _ := strings.Cut(field("/proc/meminfo", "MemTotal"), " ")
	m.MemoryGB = float64(number(kib)/(1<<18)) / 4
	m.Load, _, _ = strings.Cut(read("/proc/loadavg"), " ")
	if b.duck != nil {
		m.DuckDB = b.duck.version
	}
	if text, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(text))
	}
	m.Postgres = serverVersion(ctx, b.cluster)
	return m
}

func read(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// field is the value of the first "name : value" line of a file of /proc.
func field(path, name string) string {
	for line := range strings.Lines(read(path)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
