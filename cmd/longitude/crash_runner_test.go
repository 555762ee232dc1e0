//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/jackc/pgx/v5"

	"longitude/configs"
	"longitude/internal/postgres"
	"longitude/internal/postgres/postgrestest"
	"longitude/internal/synth"
	"longitude/study"
)

// A crash test runs the main job with the real program, kills it at named points
// of its commit order, runs the same commands again, and compares everything that
// is left with what an undisturbed run leaves.

// stage is one command of the job.
type stage struct {
	delivery int // what the sites leave before it; 0 = nothing
	asOf     string
}

// job is two deliveries, each recorded and then released.
var job = []stage{{delivery: 1}, {asOf: "2026-03-01"}, {delivery: 2}, {asOf: "2026-03-31"}}

func (s stage) args() []string {
	if s.delivery > 0 {
		return []string{"sync"}
	}
	return []string{"release", "build", "--as-of", s.asOf}
}

// crash says where the program is killed: in one stage of the job, once or, while
// it recovers, several times.
type crash struct {
	stage   int
	kills   []string // "point" or "point:n", the n-th time it is reached
	private bool     // on the private cluster, which dies with the program
}

func (c crash) String() string {
	where := "database"
	if c.private {
		where = "private cluster"
	}
	return fmt.Sprintf("%s in stage %d on a %s", strings.Join(c.kills, ", then "), c.stage, where)
}

// outcome is everything that a job leaves.
type outcome struct {
	tables map[string][]string // rows by table, sorted, without what the clock or a sequence gave
	files  map[string]string   // digest by path, of all published releases
}

// program is the binary under test, with the keys that all jobs share so that
// their codes and digests are the same.
type program struct {
	binary, keys string
	bucket       bool // releases go to a bucket, too
}

// newProgram builds the real program with its crash points.
func newProgram(t *testing.T) program {
	t.Helper()
	p := program{binary: filepath.Join(t.TempDir(), "longitude"), keys: filepath.Join(t.TempDir(), "keys")}
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "crash", "-o", p.binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return p
}

// survives runs every crash and compares what is left with an undisturbed job.
func (p program) survives(t *testing.T, crashes []crash) {
	var undisturbed outcome
	started := time.Now()
	if !t.Run("undisturbed", func(t *testing.T) {
		undisturbed = p.newVictim(t, false).work(crash{})
		if len(undisturbed.files) < 30 || len(undisturbed.tables["research.record_version"]) < 500 {
			t.Fatalf("the job is too small: %d files, %d versions", len(undisturbed.files), len(undisturbed.tables["research.record_version"]))
		}
	}) {
		return
	}
	for _, c := range crashes {
		t.Run(c.String(), func(t *testing.T) {
			left := p.newVictim(t, c.private).work(c)
			if sameDay(started, time.Now()) { // recording judges on today's date
				left.equals(t, undisturbed)
			}
		})
	}
}

func sameDay(a, b time.Time) bool {
	london, err := time.LoadLocation("Europe/London") // where the study is
	return err == nil && study.DateOf(a, london) == study.DateOf(b, london)
}

// victim is one job in a folder and a database of its own.
type victim struct {
	program
	t     *testing.T
	dir   string
	cloud *fakestorage.Server // where the bucket is; nil without one
}

func (p program) newVictim(t *testing.T, private bool) *victim {
	t.Helper()
	v := &victim{program: p, t: t, dir: t.TempDir()}
	v.must(os.Chmod(filepath.Dir(v.dir), 0o711)) // the private cluster's account passes through
	url := ""
	if !private {
		url = postgrestest.New(t, func(ctx context.Context, url string) error {
			_, err := postgres.Migrate(ctx, url)
			return err
		})
	}
	t.Setenv("DATABASE_URL", url)
	text, err := configs.AMD.ReadFile("amd/amd-obs-01.yaml")
	v.must(err)
	sinks := ""
	if p.bucket {
		v.cloud, sinks = cloud(t), ", sinks: {gcs: {location: gs://releases/eye}}"
		text = bytes.Replace(text, []byte("to: [local]"), []byte("to: [gcs, local]"), 1)
	}
	v.write("service.yaml", []byte("service: {data_dir: data, landing: file:landing, keys: file:"+p.keys+sinks+"}\n"))
	v.write("amd-obs-01.yaml", text)
	for _, site := range []string{"site-a", "site-b"} {
		text, err := configs.AMD.ReadFile("amd/sources/" + site + ".yaml")
		v.must(err)
		v.write(site+".yaml", connector.ReplaceAll(text, []byte("connector: {type: folder, path: drop/"+site+"/*.csv, ready: {marker: .done}}\nschedule:")))
	}
	return v
}

var connector = regexp.MustCompile(`(?s)connector:.*?\nschedule:`)

func (v *victim) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) write(name string, text []byte) {
	v.t.Helper()
	v.must(os.WriteFile(filepath.Join(v.dir, name), text, 0o600))
}

// work does the job with its crashes, and answers what it leaves.
func (v *victim) work(c crash) (left outcome) {
	v.t.Helper()
	for i, s := range job {
		v.prepare(s)
		if i == c.stage {
			for _, point := range c.kills {
				v.killed(point, s.args()...)
			}
		}
		v.completes(s.args()...)
		v.leavesNothing()
	}
	v.inside(func(h *house) {
		before := v.tables(h)
		v.completes("sync")
		left.tables = v.tables(h)
		outcome{tables: left.tables}.equals(v.t, outcome{tables: before}) // running it again is a no-op
		v.audited(h)
		v.accounted(h, c)
		v.sealed(h)
	})
	left.files = v.releases()
	return left
}

// prepare leaves the sites' files, or plans the release at a fixed moment: a plan
// is taken up by whoever builds next, and its moment is in the signed envelope.
func (v *victim) prepare(s stage) {
	v.t.Helper()
	if s.delivery == 0 {
		v.inside(func(h *house) { v.plan(h, s.asOf) })
		return
	}
	_, err := synth.Generate(filepath.Join(v.dir, "drop"), synth.Options{Participants: 60, Sites: 2, Delivery: s.delivery})
	v.must(err)
	left := time.Date(2026, 4, 1, 3, 0, 0, 0, time.UTC)
	v.must(filepath.WalkDir(filepath.Join(v.dir, "drop"), func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, left, left))
	}))
}

func (v *victim) plan(h *house, asOf string) {
	v.t.Helper()
	s, err := h.study("")
	v.must(err)
	r, err := h.releaser(context.Background(), s)
	v.must(err)
	date, err := h.asOf(s, asOf)
	v.must(err)
	_, err = r.Store.PlanRelease(v.t.Context(), s.Name, date, r.Policy, time.Date(2026, 4, 2, 3, 0, 0, 0, time.UTC))
	v.must(err)
}

// inside opens the house in this process, between commands.
func (v *victim) inside(do func(h *house)) {
	v.t.Helper()
	a := &app{out: io.Discard, err: v.t.Output()}
	v.must(a.prepare(a.root()))
	a.dir, a.quiet = v.dir, true
	h, err := a.open(v.t.Context(), needDatabase)
	v.must(err)
	defer h.close()
	do(h)
}

// command runs the program; a hang ends with a stack dump, not with the signal
// that the tests are about.
func (v *victim) command(crashAt string, args ...string) (*os.ProcessState, string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, v.binary, append(args, "--config", v.dir)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.Env = append(os.Environ(), "LONGITUDE_CRASH="+crashAt)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		v.t.Fatal(err)
	}
	return cmd.ProcessState, said.String()
}

// killed runs a command that must die at the point.
func (v *victim) killed(point string, args ...string) {
	v.t.Helper()
	state, said := v.command(point, args...)
	if status, ok := state.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		v.t.Fatalf("longitude %s was not killed at %s: %v\n%s", strings.Join(args, " "), point, state, said)
	}
}

func (v *victim) completes(args ...string) {
	v.t.Helper()
	if state, said := v.command("", args...); state.ExitCode() != study.ExitOK && state.ExitCode() != study.ExitRejections {
		v.t.Fatalf("longitude %s: %v\n%s", strings.Join(args, " "), state, said)
	}
}

// leavesNothing looks for what a killed process may have left behind.
func (v *victim) leavesNothing() {
	v.t.Helper()
	for _, pattern := range []string{"data/tmp/*", "landing/.uploads/*", "data/releases/*/.staging/*", "data/releases/*/.current-*"} {
		found, err := filepath.Glob(filepath.Join(v.dir, pattern))
		v.must(err)
		if len(found) > 0 {
			v.t.Errorf("left behind: %q", found)
		}
	}
}

// perishable are columns that say when or by which run, are counted by a
// sequence (a rolled-back transaction leaves a gap), or are sealed with a random nonce.
var perishable = []string{"run_id", "deviation_id", "recorded_at", "first_seen", "published_at", "box"}

// toldBy is a study.Told: modified or landed at, batch, and what follows stays.
var toldBy = regexp.MustCompile(`([ml])([0-9]{12,})/([0-9]+)/`)

// stands gives what told names by a number, or by the time of landing, the name that
// every run gives it.
func stands(line string, batches map[string]string) string {
	return toldBy.ReplaceAllStringFunc(line, func(told string) string {
		m := toldBy.FindStringSubmatch(told)
		if m[1] == "l" {
			m[2] = "landed"
		}
		return m[1] + m[2] + "/" + batches[m[3]] + "/"
	})
}

// named are columns whose numbers come from a sequence, with what they stand for.
var named = map[string]string{
	"batch_id":      `(SELECT concat_ws('/', b.kind, b.source, encode(b.object_digest, 'hex'), b.generation) FROM research.batch b WHERE b.batch_id = t.batch_id)`,
	"max_batch":     `(SELECT concat_ws('/', b.kind, b.source, encode(b.object_digest, 'hex'), b.generation) FROM research.batch b WHERE b.batch_id = t.max_batch)`,
	"quarantine_id": `(SELECT encode(q.item_digest, 'hex') FROM research.quarantine q WHERE q.quarantine_id = t.quarantine_id)`,
}

// tables dumps every table of research and vault, and what is durable of the sources.
func (v *victim) tables(h *house) map[string][]string {
	v.t.Helper()
	out, batches := map[string][]string{}, map[string]string{}
	for _, r := range v.query(h, "SELECT t.batch_id::text, "+named["batch_id"]+" FROM research.batch t") {
		batches[r[0].(string)] = r[1].(string)
	}
	for _, r := range v.query(h, `
		SELECT table_schema || '.' || table_name, array_agg(column_name::text ORDER BY ordinal_position)
		FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
		WHERE table_type = 'BASE TABLE' AND (table_schema IN ('research', 'vault') OR (table_schema, table_name) IN (('jobs', 'item'), ('jobs', 'cursor')))
		GROUP BY 1`) {
		table, columns := r[0].(string), r[1].([]any)
		row, names := "to_jsonb(t) - $1::text[]", slices.Clone(perishable)
		for _, c := range columns {
			if name, ok := named[c.(string)]; ok {
				names = append(names, c.(string))
				row += fmt.Sprintf(" || jsonb_build_object('%s', %s)", "of "+c.(string), name)
			}
		}
		for _, line := range v.query(h, "SELECT ("+row+")::text FROM "+table+" t", names) {
			out[table] = append(out[table], stands(v.moved(line[0].(string)), batches))
		}
		slices.Sort(out[table])
	}
	return out
}

func (v *victim) query(h *house, sql string, args ...any) [][]any {
	v.t.Helper()
	ctx := v.t.Context()
	conn, err := pgx.Connect(ctx, h.urls.Owner)
	v.must(err)
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, sql, args...)
	v.must(err)
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]any, error) { return r.Values() })
	v.must(err)
	return all
}

// audited checks that the log holds each batch, plan and publication exactly once.
func (v *victim) audited(h *house) {
	v.t.Helper()
	for what, sql := range map[string]string{
		"batch.recorded":    `SELECT batch_id::text FROM research.batch`,
		"release.planned":   `SELECT 'release/' || release_id FROM research.release`,
		"release.published": `SELECT 'release/' || release_id FROM research.release_publication`,
	} {
		var want, got []string
		for _, r := range v.query(h, sql) {
			want = append(want, r[0].(string))
		}
		for _, r := range v.query(h, `
			SELECT coalesce(convert_from(leaf, 'UTF8')::jsonb -> 'detail' ->> 'batch', object) FROM audit.event WHERE action = $1`, what) {
			got = append(got, r[0].(string))
		}
		slices.Sort(want)
		slices.Sort(got)
		if len(want) == 0 || !slices.Equal(want, got) {
			v.t.Errorf("audit events %s are about %q, want %q", what, got, want)
		}
	}
}

// afterwards reports whether the run has ended by the time that point is reached: it
// is sealed and told of later.
func afterwards(point string) bool {
	return strings.HasPrefix(point, "audit.") || strings.HasPrefix(point, "lineage.")
}

// accounted checks that every killed run is marked as such and none seems to run,
// and that the publications tell of what is there.
func (v *victim) accounted(h *house, c crash) {
	v.t.Helper()
	kills := 0
	for _, point := range c.kills {
		if !afterwards(point) {
			kills++
		}
	}
	states := map[string]int64{}
	for _, r := range v.query(h, `SELECT state, count(*) FROM jobs.run GROUP BY state`) {
		states[r[0].(string)] = r[1].(int64)
	}
	if states["interrupted"] != int64(kills) || states["running"]+states["failed"] != 0 {
		v.t.Errorf("after %d kills the runs are %v", kills, states)
	}
	for _, r := range v.query(h, `SELECT release_id, encode(envelope_digest, 'hex'), bytes FROM research.release_publication`) {
		dir := filepath.Join(v.dir, "data", "releases", "amd-obs-01", r[0].(string))
		files := digests(v.t, dir)
		if files["release.dsse.json"] != r[1] {
			v.t.Errorf("%s is recorded with another envelope than was published", r[0])
		}
		if size := sizeOf(v.t, dir, "release.dsse.json"); size != r[2] {
			v.t.Errorf("%s is recorded with %d bytes, its files have %d", r[0], r[2], size)
		}
	}
}

// sealed checks that the audit log is sound and sealed to its end.
func (v *victim) sealed(h *house) {
	v.t.Helper()
	v.must(h.seal(v.t.Context()))
	r, err := h.store.VerifyAudit(v.t.Context(), h.signer.Policy(), nil, true)
	v.must(err)
	if r.Err() != nil || r.Size == 0 || r.Batches == 0 {
		v.t.Errorf("the audit log: %+v", r)
	}
}

// releases verifies what is published, and answers its digests.
func (v *victim) releases() map[string]string {
	v.t.Helper()
	root := filepath.Join(v.dir, "data", "releases", "amd-obs-01")
	for _, id := range []string{"amd_obs_01_r001", "amd_obs_01_r002"} {
		v.completes("release", "verify", filepath.Join(root, id), "--policy", policyFile(filepath.Join(v.dir, "data"), "amd-obs-01"))
	}
	if at, err := os.Readlink(filepath.Join(root, "current")); err != nil || at != "amd_obs_01_r002" {
		v.t.Errorf("current is %q, %v", at, err)
	}
	files := digests(v.t, root)
	if v.bucket {
		v.alike(files)
	}
	return files
}

// alike checks that the bucket holds the files of the folder and no other, that they
// verify by themselves, and that current leads to the second release.
func (v *victim) alike(folder map[string]string) {
	v.t.Helper()
	v.completes("release", "verify", "gs://releases/eye/amd-obs-01/current", "--policy", policyFile(filepath.Join(v.dir, "data"), "amd-obs-01"))
	stored := map[string]string{}
	for name, content := range objectsBelow(v.t, v.cloud, "eye/amd-obs-01/") {
		if pointer, is := strings.CutPrefix(name, "current/"); is {
			if want := map[string]string{"000001": "amd_obs_01_r001\n", "000002": "amd_obs_01_r002\n"}[pointer]; string(content) != want {
				v.t.Errorf("pointer %s names %q", pointer, content)
			}
			continue
		}
		digest := sha256.Sum256(content)
		stored[name] = hex.EncodeToString(digest[:])
	}
	if !maps.Equal(stored, folder) {
		v.t.Errorf("the bucket holds %d files, the folder %d, or they differ", len(stored), len(folder))
	}
}

func digests(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		digest := sha256.Sum256(content)
		out[name] = hex.EncodeToString(digest[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sizeOf adds up the files below root, but for one.
func sizeOf(t *testing.T, root, except string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || e.Name() == except {
			return err
		}
		info, err := e.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// equals compares row by row and file by file, and shows the first difference of each.
func (o outcome) equals(t *testing.T, want outcome) {
	t.Helper()
	if got, all := slices.Sorted(maps.Keys(o.tables)), slices.Sorted(maps.Keys(want.tables)); !slices.Equal(got, all) {
		t.Errorf("tables with rows %q, want %q", got, all)
	}
	for table, rows := range want.tables {
		got := o.tables[table]
		for i := range max(len(rows), len(got)) {
			if i >= len(rows) || i >= len(got) || rows[i] != got[i] {
				t.Errorf("%s: %d rows, want %d; the first that differs:\n got %v\nwant %v", table, len(got), len(rows), got[min(i, len(got)):min(i+1, len(got))], rows[min(i, len(rows)):min(i+1, len(rows))])
				break
			}
		}
	}
	for name, digest := range want.files {
		if o.files[name] != digest {
			t.Errorf("%s differs from the undisturbed run's, or is missing", name)
		}
	}
	for name := range o.files {
		if want.files[name] == "" {
			t.Errorf("%s is not in the undisturbed run", name)
		}
	}
}

// moved takes the folder of the trial out of a text, also as locations write it.
func (v *victim) moved(text string) string {
	return strings.NewReplacer(v.dir, "", (&url.URL{Path: v.dir}).EscapedPath(), "").Replace(text)
}
