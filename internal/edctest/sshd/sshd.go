// Package sshd runs the OpenSSH server of this machine as an SFTP drop, for
// tests and the demo. It needs no rights, touches nothing outside a temporary
// folder and ends with the program.
//
// The server listens itself and hands each connection to its own `sshd -i`: so
// there is no port to guess, and a connection can be cut at will.
package sshd

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"longitude/study"
)

// Server is a running server.
type Server struct {
	Address            string // 127.0.0.1:port
	User               string // who signs in: the user of this process
	HostKeyFingerprint string // SHA256:… of the server's first key
	HostKeys           []ssh.PublicKey
	KnownHosts         string // lines of a known_hosts file
	PrivateKey         []byte // PEM of the one key that may sign in
	Root               string // absolute; where a login starts, so that relative paths start here

	binary, home string
	settings     []string
	listener     net.Listener
	mu           sync.Mutex
	open         map[net.Conn]bool
	stopped      bool
	running      sync.WaitGroup
	log          bytes.Buffer
}

// Start runs a server with fresh keys until Stop is called or ctx ends. Logins
// start in root and can reach what the user of this process can. Settings are lines
// of sshd_config that come before the others, and so win.
func Start(ctx context.Context, root string, settings ...string) (*Server, error) {
	binary, err := find()
	if err != nil {
		return nil, err
	}
	s := &Server{binary: binary, settings: settings, open: map[net.Conn]bool{}}
	if err := s.prepare(root); err != nil {
		return nil, errors.Join(failed("prepare the SFTP server", err), os.RemoveAll(s.home))
	}
	s.running.Go(s.accept)
	context.AfterFunc(ctx, func() { _ = s.Stop() })
	return s, nil
}

// find looks for sshd, which stands outside the path of ordinary users.
func find() (string, error) {
	for _, candidate := range []string{"sshd", "/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/lib/ssh/sshd", "/opt/homebrew/sbin/sshd"} {
		if binary, err := exec.LookPath(candidate); err == nil {
			return filepath.Abs(binary) // sshd insists on an absolute path of itself
		}
	}
	return "", &study.Error{Code: "sshd.not_installed", Op: "find an OpenSSH server on this machine", Exit: study.ExitEnvironment,
		Hint: "install it: apt-get install openssh-server (Debian, Ubuntu), dnf install openssh-server (Fedora), apk add openssh-server (Alpine)"}
}

func failed(op string, err error) error {
	return &study.Error{Code: "sshd.failed", Op: op, Exit: study.ExitEnvironment, Err: err,
		Hint: "sshd -t -f CONFIG says more about a server that does not start"}
}

// prepare makes keys and configuration in a temporary folder and listens.
func (s *Server) prepare(root string) (err error) {
	if s.Root, err = filepath.Abs(root); err != nil {
		return err
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	s.User = me.Username
	if s.home, err = os.MkdirTemp("", "longitude-sshd-"); err != nil {
		return err
	}
	if strings.ContainsAny(s.home, " %\"") { // ForceCommand has no quoting
		return errors.New("the path of the temporary folder has a space, a quote or a percent sign")
	}
	if err := os.Symlink(s.Root, s.file("root")); err != nil {
		return err
	}
	if os.Getuid() == 0 { // where sshd puts its unprivileged half
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return err
		}
	}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	s.Address = s.listener.Addr().String()
	if err := s.makeKeys(); err != nil {
		return errors.Join(err, s.listener.Close())
	}
	return os.WriteFile(s.file("config"), s.config(), 0o600)
}

func (s *Server) file(name string) string { return filepath.Join(s.home, name) }

func (s *Server) makeKeys() error {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	for name, key := range map[string]crypto.Signer{"host_ed25519": ed, "host_ecdsa": ec} {
		if _, err := s.writeKey(name, key); err != nil {
			return err
		}
	}
	for _, key := range []crypto.Signer{ed, ec} {
		public, err := ssh.NewPublicKey(key.Public())
		if err != nil {
			return err
		}
		s.HostKeys = append(s.HostKeys, public)
		s.KnownHosts += knownhosts.Line([]string{s.Address}, public) + "\n"
	}
	s.HostKeyFingerprint = ssh.FingerprintSHA256(s.HostKeys[0])
	return s.makeLogin()
}

// makeLogin makes the key that may sign in.
func (s *Server) makeLogin() error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	login, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	if s.PrivateKey, err = s.writeKey("login", private); err != nil {
		return err
	}
	return os.WriteFile(s.file("authorized_keys"), ssh.MarshalAuthorizedKey(login), 0o600)
}

func (s *Server) writeKey(name string, key crypto.Signer) ([]byte, error) {
	block, err := ssh.MarshalPrivateKey(key, "longitude test")
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(block)
	return text, os.WriteFile(s.file(name), text, 0o600)
}

func (s *Server) config() []byte {
	return fmt.Appendf(nil, strings.Join(append(s.settings, ""), "\n")+`HostKey "%[1]s/host_ed25519"
HostKey "%[1]s/host_ecdsa"
AuthorizedKeysFile "%[1]s/authorized_keys"
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PidFile none
LogLevel ERROR
Subsystem sftp internal-sftp
ForceCommand internal-sftp -d %[1]s/root
AllowTcpForwarding no
`, s.home)
}

// accept hands every connection to an sshd of its own.
func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.stopped {
			s.mu.Unlock()
			_ = conn.Close()
			return
		}
		s.open[conn] = true
		s.running.Go(func() { s.serve(conn) })
		s.mu.Unlock()
	}
}

// serve runs one sshd. A child dies with the thread that started it, so this
// goroutine keeps its thread until the child has ended.
func (s *Server) serve(conn net.Conn) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer s.hangUp(conn)
	socket, err := conn.(*net.TCPConn).File()
	if err != nil {
		s.note(err)
		return
	}
	defer socket.Close()
	cmd := exec.Command(s.binary, "-i", "-e", "-f", s.file("config"))
	cmd.Stdin, cmd.Stdout = socket, socket
	cmd.Stderr = writer(func(text []byte) { s.note(errors.New(string(text))) })
	cmd.SysProcAttr = diesWithParent()
	if err := cmd.Run(); err != nil {
		s.note(err)
	}
}

// writer is a function that takes what is written.
type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

func (s *Server) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log.Len() < 1<<16 {
		fmt.Fprintln(&s.log, err)
	}
}

// Log is what the server has complained of, for the message of a failing test.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// hangUp ends one connection for both sides, even where a child still holds it.
func (s *Server) hangUp(conn net.Conn) {
	s.mu.Lock()
	delete(s.open, conn)
	s.mu.Unlock()
	shut(conn)
	_ = conn.Close()
}

func shut(conn net.Conn) {
	tcp := conn.(*net.TCPConn)
	_ = tcp.CloseRead()
	_ = tcp.CloseWrite()
}

// Forbid stops letting anybody sign in, or lets them again.
func (s *Server) Forbid(forbidden bool) error {
	keys, away := s.file("authorized_keys"), s.file("authorized_keys.away")
	if !forbidden {
		keys, away = away, keys
	}
	return os.Rename(keys, away)
}

// Cut breaks every open connection; new ones are served.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.open {
		shut(conn)
	}
}

// Stop ends the server and removes its keys. It may be called more than once.
func (s *Server) Stop() error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	_ = s.listener.Close()
	s.Cut()
	s.running.Wait()
	return os.RemoveAll(s.home)
}
