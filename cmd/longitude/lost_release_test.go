//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"longitude/pipeline"
	"longitude/study"
)

// killed is storage whose process ends before it can record a publication.
type killed struct{ pipeline.ReleaseStore }

func (killed) Published(context.Context, study.ReleasePlan, study.Publication, string) error {
	return errors.New("killed")
}

// A release that became visible and was not recorded, because the process ended
// between the two, is recorded by the next build even when the data have moved on.
func TestAVisibleReleaseIsRecordedLater(t *testing.T) {
	x := newTrial(t, "testdata/small")
	header := "ID,VISIT,DATE,MODIFIED,BY,CONSENT,INITIALS,EYE,VA,IOP,METHOD,ARM,NOTES\n"
	x.drop("a.csv", header+"p1,BL,01/01/2026,2026-01-02T00:00:00Z,x,01/01/2026,AB,,,,,,\n")
	x.run(study.ExitOK, "sync")
	a := &app{out: io.Discard, err: t.Output()}
	x.must(a.prepare(a.root()))
	a.dir, a.quiet = x.dir, true
	h, err := a.open(t.Context(), needDatabase)
	x.must(err)
	s, err := h.study("")
	x.must(err)
	r, err := h.releaser(t.Context(), s)
	x.must(err)
	r.Store = killed{r.Store}
	if _, err := r.Build(t.Context(), study.Date(20600), "test"); err == nil {
		t.Error("the process went on")
	}
	h.close()

	x.drop("b.csv", header+"p1,BL,01/01/2026,2026-01-02T00:00:00Z,x,,,OD,44,12.5,ETDRS,active,ok\n")
	x.run(study.ExitOK, "sync")
	x.run(study.ExitOK, "release", "build")
	list, _ := x.run(study.ExitOK, "release", "list")
	if strings.Count(list, "published") != 2 || strings.Contains(list, "planned") {
		t.Errorf("releases:\n%s", list)
	}
	changes, err := os.ReadFile(x.path("data/releases/small-01/small_01_r002/CHANGELOG.md"))
	x.must(err)
	if !strings.Contains(string(changes), "Since small_01_r001") {
		t.Error("the second release does not follow the first")
	}
}
