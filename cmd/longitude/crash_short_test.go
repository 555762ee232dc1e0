//go:build unix && !crash

package main

import (
	"testing"

	"longitude/study"
)

// The short form of TestCrash and TestCrashBucket, which `make crash` runs in full.
func TestCrashShort(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	p := newProgram(t)
	p.survives(t, []crash{
		{stage: 0, kills: []string{study.PointMidCopy + ":9"}, private: true},
		{stage: 2, kills: []string{study.PointAfterCommit + ":3", study.PointSettled}},
		{stage: 3, kills: []string{study.PointAfterEnvelope}},
	})
	p.bucket = true
	p.survives(t, []crash{{stage: 3, kills: []string{study.PointMidPublish + ":3", study.PointAfterEnvelope}}})
}
