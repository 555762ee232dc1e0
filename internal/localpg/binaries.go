//go:build unix

package localpg

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"longitude/study"
)

// installs are the folders where distributions put PostgreSQL's server
// programs, which are usually not on the PATH.
var installs = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // PostgreSQL's own RPMs
	"/usr/libexec/postgresql*",                           // Alpine
	"/opt/homebrew/opt/postgresql*/bin",                  // Homebrew, Apple silicon
	"/usr/local/opt/postgresql*/bin",                     // Homebrew, Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew, Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
}

// binaries are the server programs of one PostgreSQL.
type binaries struct {
	dir   string
	major int
}

func (b binaries) initdb() string   { return filepath.Join(b.dir, "initdb") }
func (b binaries) postgres() string { return filepath.Join(b.dir, "postgres") }

// findBinaries returns the newest PostgreSQL, or the one of major version want
// when want is not 0: a cluster opens only with the version that made it.
func findBinaries(ctx context.Context, named string, want int) (binaries, error) {
	var best binaries
	for _, dir := range candidates(named) {
		b := binaries{dir: dir, major: majorOf(ctx, dir)}
		if b.major > best.major && (want == 0 || b.major == want) {
			best = b
		}
	}
	if best.major > 0 {
		return best, nil
	}
	op, hint := "find PostgreSQL's server programs", "install PostgreSQL: `apt-get install postgresql`, "+
		"`dnf install postgresql-server`, `apk add postgresql` or `brew install postgresql`; "+
		"or set LONGITUDE_POSTGRES_BIN to the folder of initdb and postgres, or service.database to a server of yours"
	if named != "" {
		op += " in " + named
	}
	if want != 0 {
		v := strconv.Itoa(want)
		op += " of version " + v + ", which made this cluster"
		hint = "install version " + v + " again (`apt-get install postgresql-" + v + "`), or move the data with pg_dump"
	}
	return binaries{}, &study.Error{Code: "localpg.no_binaries", Op: op, Hint: hint, Exit: study.ExitEnvironment}
}

// candidates lists the folders to look in; a named one is the only one.
func candidates(named string) []string {
	if named != "" {
		return []string{named}
	}
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, pattern := range installs {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		dirs = append(dirs, found...)
	}
	return dirs
}

// majorOf asks the programs in dir for their version; 0 when there are none.
func majorOf(ctx context.Context, dir string) int {
	b := binaries{dir: dir}
	if info, err := os.Stat(b.initdb()); err != nil || info.IsDir() {
		return 0
	}
	// "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
	out, err := exec.CommandContext(ctx, b.postgres(), "--version").Output()
	if err != nil {
		return 0
	}
	for _, word := range strings.Fields(string(out)) {
		end := strings.IndexFunc(word, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			end = len(word)
		}
		if n, err := strconv.Atoi(word[:end]); err == nil {
			return n
		}
	}
	return 0
}
