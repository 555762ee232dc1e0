//go:build unix && crash

package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"longitude/study"
)

// The program is killed while senders push: before their requests are answered, just
// after, and at the points of the run that follows. Every request that was answered
// is a record after the next start, and those that were not can be sent again.
func TestCrashReceiving(t *testing.T) {
	p := newProgram(t)
	for _, point := range []string{study.PointReceived, study.PointReceived + ":3", study.PointAnswered, study.PointAnswered + ":20",
		study.PointLanded, study.PointBeforeCommit, study.PointAfterCommit, study.PointBeforeAck} {
		t.Run(point, func(t *testing.T) {
			x := newHookTrial(t)
			hooks, killed := p.serve(x, point)
			const senders, each = 8, 10
			answered := push(x, hooks, senders, each)
			if state := killed(); state != syscall.SIGKILL {
				t.Fatalf("was not killed at %s: %v", point, state)
			}
			again, stop := p.serve(x, "")
			for id := range senders * each {
				if status, _ := x.push(again+"edc-events", fmt.Sprint("msg_", id), hookBody(id)); status != http.StatusAccepted {
					t.Errorf("request %d again: %d", id, status)
				}
			}
			x.until("all that was sent", func() bool {
				return x.versions() == senders*each && x.number("SELECT count(*) FROM jobs.inbox") == 0
			})
			if state := stop(); state != syscall.SIGTERM && state != 0 {
				t.Errorf("ended with %v", state)
			}
			if n := x.number("SELECT count(*) FROM audit.received"); n != senders*each {
				t.Errorf("%d requests are known", n)
			}
			for _, id := range answered {
				if n := x.number("SELECT count(*) FROM audit.received WHERE received_id::text = $1", id); n != 1 {
					t.Errorf("request %s was answered and is not known", id)
				}
			}
			if n := x.number("SELECT count(*) FROM jobs.inbox_group"); n != 0 {
				t.Errorf("%d groups are left", n)
			}
		})
	}
}

func hookBody(i int) string {
	return saved(fmt.Sprint(1000+i), "V1", "2024-02-01", `{"oid":"SBP","value":"128"}`, "2024-02-02T08:00:00Z")
}

// push sends requests until the service is gone, and answers the ids that it was given.
func push(x *trial, hooks string, senders, each int) (answered []string) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for i := range each {
				id := s*each + i
				a, err := http.DefaultClient.Do(signedHook(x.t.Context(), hooks+"edc-events", fmt.Sprint("msg_", id), hookBody(id)))
				if err != nil {
					return
				}
				text, _ := bufio.NewReader(a.Body).ReadString('\n')
				_ = a.Body.Close()
				if _, given, ok := strings.Cut(text, `"id":"`); ok && a.StatusCode == http.StatusAccepted {
					given, _, _ = strings.Cut(given, `"`)
					mu.Lock()
					answered = append(answered, given)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	slices.Sort(answered)
	return answered
}

// serve runs the program's service and answers where webhooks go, and what it died of.
func (p program) serve(x *trial, crashAt string) (hooks string, ended func() syscall.Signal) {
	x.t.Helper()
	cmd := exec.CommandContext(x.t.Context(), p.binary, "serve", "--config", x.dir)
	cmd.Env = append(cmd.Environ(), "LONGITUDE_CRASH="+crashAt)
	said, err := cmd.StderrPipe()
	x.must(err)
	x.must(cmd.Start())
	lines := bufio.NewScanner(said)
	for lines.Scan() && hooks == "" {
		if strings.HasPrefix(lines.Text(), "webhooks") {
			hooks = addressIn(x.t, lines.Text()+"\n", "webhooks")
		}
	}
	go func() {
		for lines.Scan() { // until it ends
		}
	}()
	return hooks, func() syscall.Signal {
		if crashAt == "" {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		late := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
		defer late.Stop()
		_ = cmd.Wait()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() {
			return 0
		}
		return status.Signal()
	}
}
