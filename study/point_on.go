//go:build crash

package study

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

var (
	pointMu   sync.Mutex
	pointSeen = map[string]int{}
)

// Reached kills the process with SIGKILL when LONGITUDE_CRASH is "point" or
// "point:n" and this is the n-th time the point is reached.
func Reached(point string) {
	want, nth, _ := strings.Cut(os.Getenv("LONGITUDE_CRASH"), ":")
	if want != point {
		return
	}
	n, err := strconv.Atoi(nth)
	if err != nil {
		n = 1
	}
	pointMu.Lock()
	defer pointMu.Unlock()
	if pointSeen[point]++; pointSeen[point] == n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // SIGKILL is on its way; nothing after the point may run
	}
}
