//go:build unix && !crash

package main

import (
	"testing"

	"longitude/study"
)

// An erasure is killed at each of its points, by SIGKILL, and again while it is taken
// up; the last run finishes it.
func TestErasureIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	x := newErasable(t)
	request := x.asked()
	x.run(study.ExitOK, x.with("cleo", "vault", "approve", request)...)
	v := &victim{program: newProgram(t), t: t, dir: x.dir}
	for _, point := range []string{study.PointErased, study.PointMidErase, study.PointMidErase, study.PointBeforeEnd} {
		v.killed(point, "vault", "run", request)
	}
	v.completes("vault", "run", request)
	x.nothing("after it was killed")
	x.refused(study.ExitBlocked, "vault.state", []string{"executed"}, "vault", "run", request)
	x.run(study.ExitOK, "audit", "verify", "--deep")
}
