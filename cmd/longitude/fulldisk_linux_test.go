package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"longitude/study"
)

// A disk that is full while a release is built publishes nothing, says what to
// do, and once there is room the same release is built.
func TestFullDiskAtTheRelease(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.must(os.Mkdir(x.path("data"), 0o755))
	if err := syscall.Mount("longitude-test", x.path("data"), "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a disk of a megabyte cannot be mounted here (root is needed): %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(x.path("data"), syscall.MNT_DETACH) })
	x.drop("a.csv", smallHeader+person("P-1")+person("P-2"))
	x.sync(study.ExitOK)

	for _, left := range []int{0, 8, 64, 96, 128} { // KiB: full before the first part, among the parts, while publishing
		filler := x.fill(left)
		x.refused(study.ExitEnvironment, "[", []string{"→"}, "release", "build")
		if visible, err := filepath.Glob(x.path("data/releases/small-01/small_01_r*")); err != nil || len(visible) > 0 {
			t.Errorf("with %d KiB left, %v is visible", left, visible)
		}
		x.must(os.Remove(filler))
	}
	for _, place := range []string{"deid.disk_full", "sink.disk_full"} {
		if !strings.Contains(x.said.String(), place) {
			t.Errorf("the disk was never full where %s is reported", place)
		}
	}
	released := x.release()
	if released.Plan.ID != "small_01_r001" {
		t.Errorf("the release after the failures is %s", released.Plan.ID)
	}
	x.run(study.ExitOK, "release", "verify", strings.TrimPrefix(released.Publications[0].Location, "file://"),
		"--policy", policyFile(x.path("data"), "small-01"))
}

// fill leaves so many KiB free on the disk of data.
func (x *trial) fill(left int) (filler string) {
	x.t.Helper()
	filler = x.path("data/filler")
	f, err := os.Create(filler)
	x.must(err)
	block := make([]byte, 1024)
	for err == nil {
		_, err = f.Write(block)
	}
	end, err := f.Seek(0, 2)
	x.must(err)
	x.must(f.Truncate(end&^4095 - int64(left)<<10))
	x.must(f.Close())
	return filler
}
