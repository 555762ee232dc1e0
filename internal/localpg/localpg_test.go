//go:build unix

package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/study"
)

// TestMain lets the test binary be the process that starts a cluster and dies.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LOCALPG_TEST_CHILD"); dir != "" {
		c, err := Start(context.Background(), dir, Options{Unsafe: true})
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		fmt.Println(c.URL("postgres"))
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent goes or kills us
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// openDir is a folder that an unprivileged account can reach.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "lpg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "pg")
}

func running(t *testing.T, dir string) *Cluster {
	t.Helper()
	return runningWith(t, dir, Options{Unsafe: true})
}

func runningWith(t *testing.T, dir string, opt Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func query[T any](t *testing.T, url, sql string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestStartKeepsDataAndDurability(t *testing.T) {
	dir := openDir(t)
	c := runningWith(t, dir, Options{})
	if got := query[string](t, c.URL("postgres"), `show fsync`); got != "on" {
		t.Errorf("fsync = %s, want on", got)
	}
	if got := query[string](t, c.URL("postgres"), `show listen_addresses`); got != "" {
		t.Errorf("listens on %q, want nothing", got)
	}
	if got := query[string](t, c.URL("postgres"), `show server_encoding`); got != "UTF8" {
		t.Errorf("encoding = %s", got)
	}
	for range 2 { // the second one finds it
		if err := c.CreateDatabase(t.Context(), `odd "name"`); err != nil {
			t.Fatal(err)
		}
	}
	query[int](t, c.URL(`odd "name"`), `with x as (select 1) select count(*)::int from x`)
	exec1(t, c.URL(`odd "name"`), `create table kept (n int); insert into kept values (42)`)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(t.Context(), c.URL("postgres")); err == nil {
		t.Error("answers after Stop")
	}

	again := running(t, dir)
	if again.Shared() {
		t.Error("a stopped cluster counts as running")
	}
	if got := query[int](t, again.URL(`odd "name"`), `select n from kept`); got != 42 {
		t.Errorf("kept %d, want 42", got)
	}
}

func exec1(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyTheOwnerMayEnter(t *testing.T) {
	c := running(t, openDir(t))
	for _, dir := range []string{c.home.dir, c.home.socket, c.home.data()} {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, want 0700", dir, info.Mode().Perm())
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid == 0 {
			t.Errorf("%s belongs to root, whom PostgreSQL refuses", dir)
		}
	}
}

func TestRootFallsBackWhereTheServerCannotReach(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root runs the server as somebody else")
	}
	closed := filepath.Dir(openDir(t))
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(closed, "pg")
	var notices []string
	opt := Options{Unsafe: true, Notice: func(s string) { notices = append(notices, s) }}
	c := runningWith(t, dir, opt)
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(c.Dir())) })
	if c.Dir() == dir || !strings.Contains(strings.Join(notices, "\n"), c.Dir()) {
		t.Errorf("cluster in %s, notices %q", c.Dir(), notices)
	}
	second := runningWith(t, dir, opt)
	if !second.Shared() || second.Dir() != c.Dir() {
		t.Errorf("a second Start went to %s (shared %v), want %s", second.Dir(), second.Shared(), c.Dir())
	}
}

func TestALongPathGetsAShortSocket(t *testing.T) {
	dir := filepath.Join(openDir(t), strings.Repeat("long", 30))
	c := running(t, dir)
	t.Cleanup(func() { _ = os.RemoveAll(c.home.socket) })
	if len(c.home.socket) > maxSocketDir {
		t.Errorf("socket folder has %d bytes", len(c.home.socket))
	}
	if got := query[int](t, c.URL("postgres"), `select 7`); got != 7 {
		t.Error(got)
	}
}

func TestAPathOfAnyCharactersIsReached(t *testing.T) {
	dir := filepath.Join(openDir(t), "my study+a&b=c%20")
	if Running(dir) {
		t.Error("a cluster that was never made runs")
	}
	c := running(t, dir)
	if got := query[int](t, c.URL("postgres"), `select 7`); got != 7 {
		t.Error(got)
	}
	if !Running(dir) {
		t.Error("the cluster runs and is not seen")
	}
}

func TestConcurrentStartsShare(t *testing.T) {
	dir := openDir(t)
	clusters := make([]*Cluster, 4)
	var wg sync.WaitGroup
	for i := range clusters {
		wg.Go(func() {
			c, err := Start(t.Context(), dir, Options{Unsafe: true})
			if err != nil {
				t.Error(err)
				return
			}
			clusters[i] = c
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var owner *Cluster
	for _, c := range clusters {
		if got := query[int](t, c.URL("postgres"), `select 1`); got != 1 {
			t.Error(got)
		}
		if c.Shared() {
			continue
		}
		if owner != nil {
			t.Fatal("two starters")
		}
		owner = c
	}
	if owner == nil {
		t.Fatal("no starter")
	}
	for _, c := range clusters {
		if c.Shared() {
			if err := c.Stop(); err != nil {
				t.Error(err)
			}
		}
	}
	if got := query[int](t, owner.URL("postgres"), `select 1`); got != 1 {
		t.Error("a sharer's Stop ended the cluster")
	}
	if err := owner.Stop(); err != nil {
		t.Error(err)
	}
}

// child starts the cluster of dir in another process.
func child(t *testing.T, dir string) (kill func(), url string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LOCALPG_TEST_CHILD="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = stdin.Close()
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "failed") {
		t.Fatalf("the child said %q (%v)", line, err)
	}
	return kill, strings.TrimSpace(line)
}

func TestDiesWithItsStarterAndRestartsClean(t *testing.T) {
	dir := openDir(t)
	kill, url := child(t, dir)
	exec1(t, url, `create table kept (n int); insert into kept values (1)`)

	shared := running(t, dir)
	if !shared.Shared() {
		t.Fatal("did not connect to the child's cluster")
	}
	kill() // SIGKILL: no handler of the child's runs

	deadline := time.Now().Add(2 * time.Second)
	for {
		lock, free, err := tryLock(shared.home.lockFile())
		if err != nil {
			t.Fatal(err)
		}
		if free {
			_ = lock.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("server processes live on 2 s after their starter was killed")
		}
		time.Sleep(10 * time.Millisecond)
	}

	again := running(t, dir)
	if again.Shared() {
		t.Error("a dead cluster counts as running")
	}
	if got := query[int](t, again.URL("postgres"), `select n from kept`); got != 1 {
		t.Errorf("committed row = %d", got)
	}
}

func TestAStalePidOfALiveProcessIsNoObstacle(t *testing.T) {
	dir := openDir(t)
	c := running(t, dir)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	// After a restart of the machine the number may belong to anybody: init here.
	pid := filepath.Join(c.home.data(), "postmaster.pid")
	if err := os.WriteFile(pid, []byte("1\n"+c.home.data()+"\n0\n5432\n"+c.home.socket+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.home.socket, ".s.PGSQL.5432"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again := running(t, dir)
	if got := query[int](t, again.URL("postgres"), `select 1`); got != 1 {
		t.Error(got)
	}
}

func TestAHalfMadeClusterIsMadeAgain(t *testing.T) {
	dir := openDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := running(t, dir)
	if got := query[int](t, c.URL("postgres"), `select 1`); got != 1 {
		t.Error(got)
	}
}

func TestWithoutBinariesItSaysWhatToInstall(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T) Options{
		"option":      func(t *testing.T) Options { return Options{Bin: t.TempDir()} },
		"environment": func(t *testing.T) Options { t.Setenv("LONGITUDE_POSTGRES_BIN", t.TempDir()); return Options{} },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Start(t.Context(), openDir(t), prepare(t))
			var e *study.Error
			if !errors.As(err, &e) || e.Code != "localpg.no_binaries" || e.Exit != study.ExitEnvironment {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(e.Hint, "apt-get install postgresql") {
				t.Errorf("hint %q names no package", e.Hint)
			}
		})
	}
}

func TestAnotherMajorVersionIsRefused(t *testing.T) {
	dir := openDir(t)
	c := running(t, dir)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.home.data(), "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), dir, Options{Unsafe: true})
	var e *study.Error
	if !errors.As(err, &e) || e.Code != "localpg.no_binaries" || !strings.Contains(e.Op, "version 9") {
		t.Fatalf("got %v", err)
	}
}

func TestADamagedClusterSaysWhereToLook(t *testing.T) {
	dir := openDir(t)
	c := running(t, dir)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(c.home.data(), "global", "pg_control")); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), dir, Options{Unsafe: true})
	var e *study.Error
	if !errors.As(err, &e) || e.Code != "localpg.failed" || !strings.Contains(e.Hint, "postgres.log") {
		t.Fatalf("got %v", err)
	}
}

func TestTheLogKeepsValuesOut(t *testing.T) {
	c := running(t, openDir(t))
	conn, err := pgx.Connect(t.Context(), c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `select 'ZZSECRET'::int`); err == nil {
		t.Fatal("a cast of text to int went through")
	}
	_ = conn.Close(t.Context())
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.home.logFile())
	if err != nil {
		t.Fatal(err)
	}
	if len(text) == 0 || strings.Contains(string(text), "ZZSECRET") {
		t.Errorf("log:\n%s", text)
	}
}

func TestACancelledStartLeavesNothingRunning(t *testing.T) {
	dir := openDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, dir, Options{Unsafe: true}); err == nil {
		t.Skip("this machine starts a cluster within 200 ms")
	}
	c := running(t, dir) // takes the lock, so nothing was left
	if c.Shared() {
		t.Error("the cancelled start left a server")
	}
}
