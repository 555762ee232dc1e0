//go:build unix && crash

package main

import (
	"strings"
	"testing"

	"longitude/study"
)

// The program is killed at every named point of its commit order: the first time
// the point is reached and later, on the first delivery and on the second, again
// while it recovers, and together with its database.
func TestCrash(t *testing.T) {
	var crashes []crash
	for _, point := range study.Points {
		if strings.HasPrefix(point, "erase.") || strings.HasPrefix(point, "receive.") { // see TestErasureIsKilled, TestCrashReceiving
			continue
		}
		first, second := 0, 2
		if strings.HasPrefix(point, "release.") {
			first, second = 1, 3
		}
		crashes = append(crashes, crash{stage: first, kills: []string{point}})
		if afterwards(point) { // the work is done by then, and is not done again
			crashes = append(crashes, crash{stage: second, kills: []string{point}}, crash{stage: first, kills: []string{point}, private: true})
			if point == study.PointBeforeDelivery { // every command comes by
				crashes = append(crashes, crash{stage: second, kills: []string{point, point}})
			}
			continue
		}
		switch point {
		case study.PointMidCopy, study.PointMidPart:
			crashes = append(crashes, crash{stage: second, kills: []string{point + ":7"}}, crash{stage: second, kills: []string{point + ":2", point + ":5"}})
		case study.PointSettled: // once a sync
			crashes = append(crashes, crash{stage: second, kills: []string{point, point}})
		case study.PointAfterEnvelope: // once the release is there, publishing it again ends before this point
			crashes = append(crashes, crash{stage: second, kills: []string{study.PointBeforeEnvelope, point}})
		default:
			if first == 0 {
				crashes = append(crashes, crash{stage: second, kills: []string{point + ":5"}})
			}
			crashes = append(crashes, crash{stage: second, kills: []string{point, point}})
		}
		crashes = append(crashes, crash{stage: first, kills: []string{point}, private: true})
	}
	newProgram(t).survives(t, crashes)
}

// The same where releases go to a bucket and a folder: killed between any two files,
// around the envelopes of both, and again while it recovers.
func TestCrashBucket(t *testing.T) {
	p := newProgram(t)
	p.bucket = true
	mid := study.PointMidPublish
	p.survives(t, []crash{
		{stage: 1, kills: []string{mid}},
		{stage: 1, kills: []string{mid + ":3", mid + ":9", mid + ":20"}},
		{stage: 3, kills: []string{mid + ":12"}},
		{stage: 3, kills: []string{mid + ":40"}}, // in the folder, with the bucket's visible
		{stage: 1, kills: []string{study.PointBeforeEnvelope}},
		{stage: 3, kills: []string{study.PointBeforeEnvelope + ":2"}},
		{stage: 1, kills: []string{study.PointAfterEnvelope}},
		{stage: 3, kills: []string{study.PointAfterEnvelope + ":2"}},
		{stage: 3, kills: []string{mid + ":5", study.PointBeforeEnvelope, study.PointAfterEnvelope}},
	})
}
