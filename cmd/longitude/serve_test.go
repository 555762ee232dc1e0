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

	"longitude/internal/release/releasetest"
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
	page, admin, stop := x.serving()
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
	if code := stop(); code != study.ExitOK {
		t.Errorf("told to stop, serve ended with %d", code)
	}
	if n := x.number("SELECT count(*) FROM jobs.run WHERE state = 'running'"); n != 0 {
		t.Errorf("%d runs are left running", n)
	}
}

// serving starts serve and answers its doors, and how to stop it.
func (x *trial) serving() (page, admin string, stop func() int) {
	x.t.Helper()
	ctx, cancel := context.WithCancel(x.t.Context())
	x.t.Cleanup(cancel)
	doors := make(chan string, 1)
	errOut := &told{after: "/metrics\n", call: func(text string) { doors <- text }}
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"serve", "--config", x.dir}, io.Discard, errOut) }()
	select {
	case text := <-doors:
		return addressIn(x.t, text, "status page"), strings.TrimSuffix(addressIn(x.t, text, "metrics"), "metrics"),
			func() int { cancel(); return <-ended }
	case code := <-ended:
		x.t.Fatalf("serve ended with %d", code)
	}
	return "", "", nil
}

// The desk of a service that runs: what is decided there counts at once, and what
// is asked for is done.
func TestServeTakesDecisions(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.drop("a.csv", smallHeader+person("P-1")+acuityRow("P-1", "M1", "20/04/2026", "OD", "47")+acuityRow("P-1", "M1", "20/04/2026", "RE", "47"))
	x.sync(study.ExitRejections)
	late := x.deviation("--code", study.VisitOutOfWindow)
	x.edit("source.yaml", "{OD: R, OS: L}", "{OD: R, RE: L, OS: L}")
	page, _, stop := x.serving()
	api := page + "api/v1"

	post(t, 200, "POST", api+"/deviations/"+id(late.ID)+"/explain", `{"reason":"travel","note":"Dr Quux was away"}`)
	x.signed("small-01", "Dr Quux was away")
	post(t, 409, "POST", api+"/deviations/"+id(late.ID)+"/explain", `{"reason":"travel"}`)
	if _, body := get(t, api+"/deviations?state=explained"); !strings.Contains(body, `"by":"api"`) || strings.Contains(body, "Quux") {
		t.Errorf("explained: %s", body)
	}
	post(t, 404, "POST", api+"/sources/nowhere/replay", `{}`)
	post(t, 202, "POST", api+"/sources/clinic/replay", `{}`)
	x.until("the replay", func() bool { return x.versions() == 5 })
	post(t, 201, "POST", api+"/locks", `{"study":"small-01","visit":"month_1","reason":"database_lock"}`)
	post(t, 404, "POST", api+"/locks", `{"study":"other-01","reason":"database_lock"}`)
	corrected := strings.Replace(acuityRow("P-1", "M1", "20/04/2026", "OD", "52"), "2026-03-02T", "2026-05-09T", 1)
	x.drop("b.csv", smallHeader+corrected)
	post(t, 202, "POST", api+"/sources/clinic/sync", ``)
	refused := func() bool {
		return x.number(`SELECT count(*) FROM research.quarantine WHERE rule = 'edited_after_lock'`) == 1
	}
	x.until("what the lock refuses", refused)
	_, locks := get(t, api+"/locks")
	lock := strings.SplitAfter(strings.SplitAfter(locks, `"id":`)[1], ",")[0]
	post(t, 200, "DELETE", api+"/locks/"+strings.TrimSuffix(lock, ","), `{"reason":"correction"}`)
	x.until("what it held back", func() bool { return x.versions() == 6 })
	post(t, 409, "DELETE", api+"/locks/"+strings.TrimSuffix(lock, ","), `{"reason":"correction"}`)
	post(t, 200, "POST", api+"/studies/small-01/participants/"+late.Code+"/recalculate", `{}`)
	post(t, 404, "POST", api+"/studies/small-01/participants/SML-X/recalculate", `{}`)
	for _, path := range []string{"", "quarantine", "quarantine/1", "deviations", "locks", "drift", "participants/small-01/" + late.Code} {
		if status, body := get(t, page+path); status != http.StatusOK || strings.Contains(body, "Quux") {
			t.Errorf("/%s answers %d", path, status)
		}
	}
	if code := stop(); code != study.ExitOK {
		t.Errorf("told to stop, serve ended with %d", code)
	}
}

// A service that runs since before a plan was applied does nothing by the old one;
// what only adds does not stop it.
func TestServeUnderAnotherPlan(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.late(study.ExitOK)
	late := x.deviation("--code", study.VisitOutOfWindow)
	page, _, stop := x.serving()
	recalculate := page + "api/v1/studies/small-01/participants/" + late.Code + "/recalculate"
	x.edit("study.yaml", "title: A small study", "title: A study")
	x.run(study.ExitOK, "status")
	post(t, 200, "POST", recalculate, `{}`)
	x.edit("study.yaml", "day: 30, window: [-7, 14]", "day: 30, window: [-7, 28]")
	x.run(study.ExitOK, "apply", "--plan", x.plan().Hash)
	post(t, 409, "POST", recalculate, `{}`)
	post(t, 409, "POST", page+"api/v1/deviations/1/explain", `{"reason":"travel"}`)
	if code := stop(); code != study.ExitOK {
		t.Errorf("told to stop, serve ended with %d", code)
	}
}

// until waits for something that the service does in its own time.
func (x *trial) until(what string, done func() bool) {
	x.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			x.t.Fatalf("%s does not come", what)
		}
	}
}

func post(t *testing.T, code int, method, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, _ := io.ReadAll(res.Body)
	if res.StatusCode != code || bytes.Contains(answer, []byte("Quux")) {
		t.Errorf("%s %s answers %d, want %d: %s", method, url, res.StatusCode, code, answer)
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
	releases := filepath.Join(dir, ".longitude", "releases", "amd-obs-01")
	first, second := filepath.Join(releases, "amd_obs_01_r001"), filepath.Join(releases, "amd_obs_01_r002")
	releasetest.Check(t, first)
	releasetest.Check(t, second)
	out.Reset()
	if code := run(t.Context(), []string{"release", "diff", "--config", dir, first, "amd_obs_01_r002"}, &out, &errOut); code != study.ExitOK ||
		!strings.Contains(out.String(), "Version 1.0.0 to 1.1.0: data were added or corrected (minor)") || !strings.Contains(out.String(), "| `visit_schedule` | same |") {
		t.Errorf("the diff: exit %d\n%s%s", code, out.String(), errOut.String())
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
