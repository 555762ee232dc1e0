//go:build unix

package localpg

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is a PostgreSQL that this process started.
type server struct {
	home home
	cmd  *exec.Cmd
	done chan struct{} // closed when it has exited
	once sync.Once
}

// settings of every cluster. Errors of statements are kept out of the log,
// because PostgreSQL quotes the offending values in them.
var settings = []string{
	"listen_addresses=", "port=5432", "unix_socket_permissions=0700",
	"max_connections=100", "shared_buffers=256MB",
	"wal_level=minimal", "max_wal_senders=0", "max_wal_size=2GB", "checkpoint_timeout=15min",
	"jit=off", "timezone=UTC", "log_timezone=UTC", "lc_messages=C",
	"log_min_messages=log", "log_min_error_statement=panic", "log_error_verbosity=terse",
	"log_statement=none", "log_min_duration_statement=-1", "log_checkpoints=off",
	"password_encryption=scram-sha-256",
}

// unsafeSettings give up every guarantee about a machine that loses power. They
// keep what a killed process must keep, so crash tests may use them.
var unsafeSettings = []string{"fsync=off", "full_page_writes=off"}

// launch creates the cluster if need be and starts it. It owns lock: the server
// inherits it, and this process lets go.
func launch(ctx context.Context, h home, opt Options, lock *os.File) (*server, error) {
	defer func() { _ = lock.Close() }()
	bin, err := h.binaries(ctx, opt)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(h.data()); errors.Is(err, os.ErrNotExist) {
		opt.Notice("creating the local database in " + h.dir)
		if err := initialise(ctx, h, bin, opt, lock); err != nil {
			return nil, failed("create", h, err)
		}
	}
	if err := h.clearRemains(); err != nil {
		return nil, failed("clear the remains of", h, err)
	}
	s, err := start(h, bin, opt, lock)
	if err != nil {
		return nil, failed("start", h, err)
	}
	for ping(ctx, h) != nil {
		select {
		case <-s.done:
			return nil, failed("start", h, errors.New("the server stopped at once"))
		default:
		}
		if err := pause(ctx); err != nil {
			return nil, errors.Join(notAnswering(h, err), s.stop())
		}
	}
	return s, nil
}

// binaries finds the programs that fit the cluster in h.
func (h home) binaries(ctx context.Context, opt Options) (binaries, error) {
	named := opt.Bin
	if named == "" {
		named = os.Getenv("LONGITUDE_POSTGRES_BIN")
	}
	want := 0
	if text, err := os.ReadFile(filepath.Join(h.data(), "PG_VERSION")); err == nil {
		want, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	return findBinaries(ctx, named, want)
}

// initialise makes the data folder under another name and renames it when it
// is whole, so that a killed attempt is never mistaken for a cluster.
func initialise(ctx context.Context, h home, bin binaries, opt Options, lock *os.File) error {
	draft := h.data() + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	args := []string{
		"--pgdata=" + draft, "--username=" + Owner, "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--data-checksums",
	}
	if opt.Unsafe {
		args = append(args, "--no-sync")
	}
	cmd, log, err := h.command(bin.initdb(), args, lock)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	done, err := keep(cmd)
	if err != nil {
		return err
	}
	select {
	case <-done:
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		<-done
		return ctx.Err()
	}
	if !cmd.ProcessState.Success() {
		return errors.New("initdb did not succeed")
	}
	if err := os.Rename(draft, h.data()); err != nil {
		return err
	}
	return syncDir(h.dir, opt)
}

// syncDir makes a rename in dir survive a loss of power.
func syncDir(dir string, opt Options) error {
	if opt.Unsafe {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// clearRemains removes what a killed server leaves. The caller holds the lock,
// so no server is alive, whatever process now has the number in the pid file.
func (h home) clearRemains() error {
	for _, path := range []string{
		filepath.Join(h.data(), "postmaster.pid"),
		filepath.Join(h.socket, ".s.PGSQL.5432"),
		filepath.Join(h.socket, ".s.PGSQL.5432.lock"),
	} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// start runs the server and returns without waiting for it to answer.
func start(h home, bin binaries, opt Options, lock *os.File) (*server, error) {
	args := []string{"-D", h.data(), "-k", h.socket}
	all := settings
	if opt.Unsafe {
		all = append(append([]string{}, settings...), unsafeSettings...)
	}
	for _, s := range all {
		args = append(args, "-c", s)
	}
	cmd, log, err := h.command(bin.postgres(), args, lock)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	done, err := keep(cmd)
	if err != nil {
		return nil, err
	}
	return &server{home: h, cmd: cmd, done: done}, nil
}

// command prepares a program of PostgreSQL: the server's account, a clean
// environment, its own process group (a Ctrl-C is ours to handle), the log as
// output, and the lock inherited.
func (h home) command(program string, args []string, lock *os.File) (*exec.Cmd, *os.File, error) {
	log, err := os.OpenFile(h.logFile(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = h.dir
	cmd.Env = []string{"PATH=" + filepath.Dir(program) + ":/usr/bin:/bin", "HOME=" + h.dir, "LC_ALL=C", "TZ=UTC"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = diesWithParent()
	cmd.SysProcAttr.Setpgid = true
	if h.as.switched {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: h.as.uid, Gid: h.as.gid}
	}
	return cmd, log, nil
}

// keep starts cmd and returns a channel that closes when it has exited. Linux
// binds "dies with its parent" to the thread that forked, so that thread is
// kept for as long as the child lives.
func keep(cmd *exec.Cmd) (done chan struct{}, err error) {
	started := make(chan error, 1)
	done = make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // ProcessState tells the rest
		}
	}()
	return done, <-started
}

// stop shuts the server down: fast first, at once if that takes too long.
func (s *server) stop() error {
	var err error
	s.once.Do(func() {
		for _, step := range []struct {
			signal syscall.Signal
			wait   time.Duration
		}{{syscall.SIGINT, 20 * time.Second}, {syscall.SIGQUIT, 10 * time.Second}, {syscall.SIGKILL, 5 * time.Second}} {
			_ = s.cmd.Process.Signal(step.signal) // fails only when it has gone
			select {
			case <-s.done:
				return
			case <-time.After(step.wait):
			}
		}
		err = failed("stop", s.home, nil)
	})
	return err
}
