//go:build unix

package localpg

import (
	"crypto/rand"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"longitude/study"
)

// maxSocketDir leaves room for "/.s.PGSQL.5432" in the 103 bytes that every
// Unix allows a socket's path.
const maxSocketDir = 103 - len("/.s.PGSQL.5432")

// account is the operating system's user that the server runs as.
type account struct {
	uid, gid uint32
	switched bool // not the user of this process: root becomes postgres or nobody
}

// serverAccount picks the account: this process's own, or an unprivileged one
// for root, whom PostgreSQL refuses.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		if _, err := user.LookupId(strconv.Itoa(os.Geteuid())); err != nil {
			return account{}, &study.Error{
				Code: "localpg.no_account", Op: "start the local database as a user that has no name",
				Hint: "PostgreSQL needs a line for user id " + strconv.Itoa(os.Geteuid()) +
					" in /etc/passwd; add one, or set service.database",
				Exit: study.ExitEnvironment,
			}
		}
		return account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if errUID == nil && errGID == nil && uid != 0 {
			return account{uid: uint32(uid), gid: uint32(gid), switched: true}, nil
		}
	}
	return account{}, &study.Error{
		Code: "localpg.no_account", Op: "start the local database as root",
		Hint: "PostgreSQL refuses root: create a user named postgres, run as another user, or set service.database",
		Exit: study.ExitEnvironment,
	}
}

// openHome finds or makes the folders of the cluster that belongs to dir.
func openHome(dir string, opt Options) (home, error) {
	as, err := serverAccount()
	if err != nil {
		return home{}, err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return home{}, failed("find", home{dir: dir}, err)
	}
	h := home{dir: abs, as: as}
	if err := os.MkdirAll(abs, 0o711); err != nil {
		return home{}, failed("make the folder of", h, err)
	}
	if as.switched && !reachable(abs, as) {
		if h.dir, err = elsewhere(abs, opt); err != nil {
			return home{}, err
		}
		opt.Notice("the local database's files are in " + h.dir + ": its server cannot reach " + abs)
	}
	if err := h.own(h.dir); err != nil {
		return home{}, failed("take the folder of", h, err)
	}
	if h.socket, err = h.socketDir(); err != nil {
		return home{}, failed("make the socket of", h, err)
	}
	return h, nil
}

// own makes path a folder that only the server's account (and root) may enter.
func (h home) own(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if h.as.switched {
		if err := os.Lchown(path, int(h.as.uid), int(h.as.gid)); err != nil {
			return err
		}
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || st.Uid != h.as.uid {
		return errors.New("the folder belongs to somebody else")
	}
	return os.Chmod(path, 0o700)
}

// socketDir is beside the data, unless the path is too long for a socket. Then
// it is a folder named once, at random, below /tmp, and recorded in the home.
func (h home) socketDir() (string, error) {
	if near := filepath.Join(h.dir, "s"); len(near) <= maxSocketDir {
		return near, h.own(near)
	}
	record := filepath.Join(h.dir, "socket")
	far, err := recorded(record, func() string { return "/tmp/longitude-" + rand.Text()[:12] })
	if err != nil {
		return "", err
	}
	return far, h.own(far)
}

// elsewhere returns the folder used instead of dir. Its name is random and
// recorded in dir, so that deleting dir means a new cluster, never a find.
func elsewhere(dir string, opt Options) (string, error) {
	base := "/var/lib/longitude"
	if opt.Unsafe {
		base = filepath.Join(os.TempDir(), "longitude-"+strconv.Itoa(os.Getpid()))
	}
	at, err := recorded(filepath.Join(dir, "location"), func() string { return filepath.Join(base, rand.Text()[:12]) })
	if err == nil {
		err = os.MkdirAll(filepath.Dir(at), 0o711)
	}
	if err != nil {
		return "", failed("find another place for", home{dir: dir}, err)
	}
	return at, nil
}

// recorded returns the path written in file, writing choose's choice first when
// there is none. Of two writers at the same moment the first one wins.
func recorded(file string, choose func() string) (string, error) {
	draft := file + "." + rand.Text()[:8]
	if _, err := os.Lstat(file); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(draft, []byte(choose()+"\n"), 0o600); err != nil {
			return "", err
		}
		defer func() { _ = os.Remove(draft) }()
		if err := os.Link(draft, file); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	path := strings.TrimSpace(string(text))
	if !filepath.IsAbs(path) {
		return "", errors.New(file + " does not hold a path")
	}
	return path, nil
}

// reachable reports whether as may pass through every parent of dir.
func reachable(dir string, as account) bool {
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return false
		}
		bit := os.FileMode(0o001)
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid == as.uid {
			bit = 0o100
		} else if ok && st.Gid == as.gid {
			bit = 0o010
		}
		if info.Mode().Perm()&bit == 0 {
			return false
		}
		if parent == filepath.Dir(parent) {
			return true
		}
	}
}

// tryLock takes the lock that says whether a server runs. The returned file
// holds it; free is false when somebody else does.
func tryLock(path string) (lock *os.File, free bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return f, true, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, false, nil
	}
	return nil, false, err
}
