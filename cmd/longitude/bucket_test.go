//go:build unix

package main

import (
	"bytes"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"longitude/internal/status"
	"longitude/pipeline"
	"longitude/study"
)

// cloud is a Cloud Storage in this process, which this program and others that it
// starts find by their environment. The releases are in the bucket of that name.
func cloud(t *testing.T) *fakestorage.Server {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, PublicHost: web.Listener.Addr().String(), Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	web.Config.Handler = server.HTTPHandler()
	web.Start()
	t.Cleanup(web.Close)
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "releases"})
	t.Setenv("STORAGE_EMULATOR_HOST", web.URL)
	return server
}

// objectsBelow is what a bucket holds below a prefix, by path.
func objectsBelow(t *testing.T, server *fakestorage.Server, prefix string) map[string][]byte {
	t.Helper()
	list, err := server.ListObjectsWithOptionsPaginated("releases", fakestorage.ListOptions{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, attrs := range list.Objects {
		o, err := server.GetObject("releases", attrs.Name)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimPrefix(attrs.Name, prefix)] = o.Content
	}
	return out
}

// published is a trial whose releases go to the bucket and elsewhere.
func published(t *testing.T, to string) *trial {
	t.Helper()
	x := newTrial(t, smallStudy)
	x.edit("service.yaml", "  data_dir: data\n", "  data_dir: data\n  sinks: {gcs: {location: gs://releases/eye}}\n")
	x.edit("study.yaml", "to: [local]", "to: "+to)
	x.drop("first.csv", smallHeader+person("P-1")+person("P-2"))
	x.sync(study.ExitOK)
	return x
}

// A release that goes to a bucket and to a folder is the same in both, and each
// verifies by itself.
func TestReleaseInBucketAndFolder(t *testing.T) {
	server := cloud(t)
	x := published(t, "[local, gcs]")
	if kinds := x.table(study.ExitOK, "check"); !slices.ContainsFunc(kinds, func(row []string) bool { return row[1] == "small-01/gcs" && row[2] == "ok" }) {
		t.Errorf("check does not reach the bucket: %q", kinds)
	}
	var built pipeline.Release
	x.answer(study.ExitOK, &built, "release", "build")
	var shown shownRelease
	x.answer(study.ExitOK, &shown, "release", "show", built.Plan.ID)
	if len(built.Publications) != 2 || len(shown.Places) != 2 || shown.Places[0].Location != "gs://releases/eye/small-01/small_01_r001" {
		t.Fatalf("published to %+v, shown %+v", built.Publications, shown.Places)
	}
	dir := x.path("data/releases/small-01/small_01_r001")
	there := objectsBelow(t, server, "eye/small-01/small_01_r001/")
	if len(there) < 20 || !maps.EqualFunc(there, contents(t, dir), bytes.Equal) {
		t.Errorf("the bucket holds %d files, the folder %d, or they differ", len(there), len(contents(t, dir)))
	}
	policy := policyFile(x.path("data"), "small-01")
	for _, place := range shown.Places {
		x.run(study.ExitOK, "release", "verify", place.Location, "--policy", policy, "--deep")
	}
	x.run(study.ExitOK, "release", "diff", shown.Places[0].Location, dir)
	x.refused(study.ExitUsage, "status.not_found", nil, "release", "show", "small_01_r999")

	// The folder is read where it is there, or else the bucket.
	x.must(server.Backend().DeleteObject("releases", "eye/small-01/small_01_r001/datapackage.json"))
	x.drop("second.csv", smallHeader+person("P-3"))
	x.sync(study.ExitOK)
	x.run(study.ExitOK, "release", "build")
	x.must(os.RemoveAll(x.path("data/releases/small-01/small_01_r002")))
	x.drop("third.csv", smallHeader+person("P-4"))
	x.sync(study.ExitOK)
	x.answer(study.ExitOK, &built, "release", "build")
	if built.Plan.Previous != "small_01_r002" {
		t.Errorf("%s follows %q", built.Plan.ID, built.Plan.Previous)
	}
}

// Where releases go to a bucket alone, the next follows the one there; current is
// followed, too; and a byte that changed there shows.
func TestReleasesInBucket(t *testing.T) {
	server := cloud(t)
	x := published(t, "[gcs]")
	first := x.release()
	x.drop("second.csv", smallHeader+person("P-3"))
	x.sync(study.ExitOK)
	second := x.release()
	if second.Plan.Previous != first.Plan.ID || second.Plan.PreviousLocation != "gs://releases/eye/small-01/small_01_r001" {
		t.Errorf("%s follows %q at %q", second.Plan.ID, second.Plan.Previous, second.Plan.PreviousLocation)
	}
	var list []status.Release
	x.answer(study.ExitOK, &list, "release", "list")
	if len(list) != 2 || list[0].Location != second.Publications[0].Location {
		t.Errorf("listed: %+v", list)
	}
	policy := policyFile(x.path("data"), "small-01")
	t.Setenv("TMPDIR", t.TempDir())
	if out, _ := x.run(study.ExitOK, "release", "verify", "gs://releases/eye/small-01/current", "--policy", policy, "--output", "json"); !strings.Contains(out, second.Plan.ID) {
		t.Errorf("current is not the second release: %s", out)
	}
	if out, _ := x.run(study.ExitOK, "release", "diff", first.Plan.ID, second.Plan.ID); !strings.Contains(out, "participants") {
		t.Errorf("the difference tells nothing: %s", out)
	}
	name := "eye/small-01/small_01_r002/datapackage.json"
	o, err := server.GetObject("releases", name)
	x.must(err)
	o.Content = append([]byte{}, o.Content...)
	o.Content[len(o.Content)/2] ^= 1
	server.CreateObject(o)
	x.refused(study.ExitBlocked, "verify.failed", nil, "release", "verify", second.Publications[0].Location, "--policy", policy)
	x.refused(study.ExitEnvironment, "sink.no_release", nil, "release", "verify", "gs://releases/eye/small-01/small_01_r003", "--policy", policy)
	for _, dir := range []string{os.Getenv("TMPDIR"), x.path("data/tmp")} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%d folders are left in %s, %v", len(left), dir, err)
		}
	}
}

// A bucket that shows another release of the same name, as one of an earlier database
// does, is not taken for ours.
func TestAnotherReleaseInBucket(t *testing.T) {
	server := cloud(t)
	published(t, "[gcs]").release()
	x := published(t, "[gcs]") // with keys and a database of its own
	x.refused(study.ExitBlocked, "release.another", []string{"release verify"}, "release", "build")
	if n := x.number("SELECT count(*) FROM research.release_publication"); n != 0 {
		t.Errorf("%d publications are recorded", n)
	}
	if pointers := objectsBelow(t, server, "eye/small-01/current/"); len(pointers) != 1 {
		t.Errorf("%d pointers", len(pointers))
	}
}

// Releases that go where the service does not say are refused before anything is done.
func TestSinkWithoutPlace(t *testing.T) {
	x := newTrial(t, smallStudy)
	x.edit("study.yaml", "to: [local]", "to: [local, gcs]")
	if out, _ := x.run(study.ExitUsage, "validate"); !strings.Contains(out, "study.yaml:31:24: error") || !strings.Contains(out, "config.sink") || !strings.Contains(out, "sinks: {gcs: {location: …}}") {
		t.Errorf("validate does not say where: %s", out)
	}
	x.refused(study.ExitUsage, "config.sink", nil, "release", "build")
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for name := range digests(t, dir) {
		text, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = text
	}
	return out
}
