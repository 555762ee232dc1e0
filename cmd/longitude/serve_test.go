//go:build unix

package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"longitude/study"
)

// told calls back once a text was written to it, with all that was written.
type told struct {
	mu    sync.Mutex
	text  bytes.Buffer
	after string
	call  func(text string)
}

func (w *told) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.text.Write(b)
	if w.call != nil && bytes.Contains(w.text.Bytes(), []byte(w.after)) {
		w.call(w.text.String())
		w.call = nil
	}
	return n, err
}

// serve pulls by its schedule, answers at its doors, and ends well when told to.
func TestServe(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.edit("source.yaml", "retry:", "schedule: {cron: '@every 1s'}\nretry:")
	x.drop("a.csv", smallHeader+person("P-1"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	doors := make(chan string, 1)
	errOut := &told{after: "/metrics\n", call: func(text string) { doors <- text }}
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"serve", "--config", x.dir}, io.Discard, errOut) }()
	var text string
	select {
	case text = <-doors:
	case code := <-ended:
		t.Fatalf("serve ended with %d", code)
	}
	page, admin := addressIn(t, text, "status page"), strings.TrimSuffix(addressIn(t, text, "metrics"), "metrics")
	for _, door := range []string{page, page + "api/v1/sources", admin + "livez", admin + "readyz", admin + "metrics"} {
		if status, _ := get(t, door); status != http.StatusOK {
			t.Errorf("%s answers %d", door, status)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); x.versions() < 3; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the schedule pulled nothing")
		}
	}
	if _, metrics := get(t, admin+"metrics"); !strings.Contains(metrics, "longitude_") {
		t.Error("no metrics of ours")
	}
	cancel()
	if code := <-ended; code != study.ExitOK {
		t.Errorf("told to stop, serve ended with %d", code)
	}
	if n := x.number("SELECT count(*) FROM jobs.run WHERE state = 'running'"); n != 0 {
		t.Errorf("%d runs are left running", n)
	}
}

// addressIn is the URL on the line that starts with a label.
func addressIn(t *testing.T, text, label string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, label); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no %s in %q", label, text)
	return ""
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// The demo needs no configuration and touches no folder that is not its own.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo starts a database and an SFTP server")
	}
	dir := filepath.Join(t.TempDir(), "demo")
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--dir", dir, "--participants", "40"}, &out, &errOut); code != study.ExitOK {
		t.Fatalf("exit %d\n%s%s", code, out.String(), errOut.String())
	}
	for _, said := range []string{"(0 rows, 0 records unaccounted)", "amd_obs_01_r001", "amd_obs_01_r002", "verify: sound", "late_entry", "status page"} {
		if !strings.Contains(out.String(), said) {
			t.Errorf("the tour does not say %q:\n%s", said, out.String())
		}
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	errOut.Reset()
	if code := run(t.Context(), []string{"demo", "--dir", foreign}, &out, &errOut); code != study.ExitUsage || !strings.Contains(errOut.String(), "demo.folder") {
		t.Errorf("a foreign folder: exit %d\n%s", code, errOut.String())
	}
	if _, err := os.Stat(filepath.Join(foreign, "thesis.txt")); err != nil {
		t.Error("the demo deleted what is not its own")
	}
}
