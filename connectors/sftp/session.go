package sftp

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"longitude/connectors"
	"longitude/study"
)

// A server that stays silent for stall, although a sign of life is asked of it
// every keepalive, is gone.
var (
	dialTimeout = 15 * time.Second
	keepalive   = 20 * time.Second
	stall       = 60 * time.Second
)

// session is one authenticated connection.
type session struct {
	wire    net.Conn
	ssh     *ssh.Client
	files   *sftp.Client
	bastion *ssh.Client   // nil without one
	ended   chan struct{} // closed when the keepalive has stopped
}

// reach opens a connection to an address.
type reach func(ctx context.Context, address string) (net.Conn, error)

// dial connects, through the bastion where there is one, and starts SFTP.
func dial(ctx context.Context, c Config, rt connectors.Runtime) (*session, error) {
	s := &session{ended: make(chan struct{})}
	var onward reach = direct
	var err error
	if c.Proxy.Address != "" {
		if s.bastion, s.wire, err = signIn(ctx, c.bastion(), rt, direct); err != nil {
			return nil, err
		}
		onward = func(ctx context.Context, address string) (net.Conn, error) {
			return s.bastion.DialContext(ctx, "tcp", address)
		}
	}
	var wire net.Conn
	if s.ssh, wire, err = signIn(ctx, c.target(), rt, onward); err != nil {
		s.leaveBastion()
		return nil, err
	}
	if s.wire == nil {
		s.wire = wire
	}
	stop := context.AfterFunc(ctx, s.cut)
	defer stop()
	if s.files, err = sftp.NewClient(s.ssh); err != nil {
		_ = s.ssh.Close()
		s.leaveBastion()
		return nil, cancelled(ctx, explainStart(err))
	}
	go s.keepAlive()
	return s, nil
}

func direct(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return watched{raw}, nil
}

// signIn connects to one server, which proves itself before we do.
func signIn(ctx context.Context, h hop, rt connectors.Runtime, to reach) (*ssh.Client, net.Conn, error) {
	methods, err := credentials(h)
	if err != nil {
		return nil, nil, err
	}
	pin, err := pinOf(h, rt)
	if err != nil {
		return nil, nil, err
	}
	// A fingerprint does not say of which type its key is, so the types are
	// asked for in turn; known_hosts says it at once.
	for _, algorithms := range pin.algorithms {
		var client *ssh.Client
		var wire net.Conn
		if client, wire, err = handshake(ctx, h, methods, pin, algorithms, to); err == nil {
			return client, wire, nil
		}
		var told *study.Error
		if !errors.As(err, &told) || told.Code != codeMismatch {
			return nil, nil, err
		}
	}
	return nil, nil, err
}

func (s *session) leaveBastion() {
	if s.bastion != nil {
		_ = s.bastion.Close()
		_ = s.bastion.Wait()
	}
}

// keepAlive asks for signs of life until the connection ends.
func (s *session) keepAlive() {
	defer close(s.ended)
	over := make(chan struct{})
	go func() { defer close(over); _ = s.ssh.Wait() }()
	tick := time.NewTicker(keepalive)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
			if _, _, err := s.ssh.SendRequest("keepalive@openssh.com", true, nil); err != nil {
				s.cut()
				<-over
				return
			}
		}
	}
}

// cut ends the connection at once; whoever waits on it gets an error.
func (s *session) cut() { _ = s.wire.Close() }

func (s *session) alive() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

func (s *session) close() {
	_ = s.ssh.Close() // first: the rest would wait for a server that has stalled
	s.leaveBastion()
	_ = s.files.Close()
	<-s.ended
}

// handshake opens one connection on which the server presents a key of one of
// the algorithms.
func handshake(ctx context.Context, h hop, methods []ssh.AuthMethod, pin pin, algorithms []string, to reach) (*ssh.Client, net.Conn, error) {
	wire, err := to(ctx, h.address)
	if err != nil {
		return nil, nil, cancelled(ctx, unreachable(h, err))
	}
	stop := context.AfterFunc(ctx, func() { _ = wire.Close() })
	defer stop()
	var refused error
	config := &ssh.ClientConfig{
		User: h.user, Auth: methods, HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(host string, addr net.Addr, key ssh.PublicKey) error {
			refused = pin.verify(host, addr, key)
			return refused
		},
	}
	if h.old {
		safe, unsafe := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
		config.KeyExchanges = append(safe.KeyExchanges, unsafe.KeyExchanges...)
		config.Ciphers, config.MACs = append(safe.Ciphers, unsafe.Ciphers...), append(safe.MACs, unsafe.MACs...)
	}
	conn, channels, requests, err := ssh.NewClientConn(wire, h.address, config)
	if err != nil {
		_ = wire.Close()
		return nil, nil, cancelled(ctx, explainHandshake(h, refused, err))
	}
	return ssh.NewClient(conn, channels, requests), wire, nil
}

// unreachable says why there is no connection. What a bastion says of its own
// network is not repeated.
func unreachable(h hop, err error) error {
	e := &study.Error{Code: "sftp.unreachable", Op: "connect to " + h.address, Temporary: true,
		Hint: "look at the address, the network and the firewall"}
	var channel *ssh.OpenChannelError
	if errors.As(err, &channel) {
		e.Op += " through the bastion"
		e.Hint = "the bastion could not or would not reach the server: look at its rules for forwarding"
		return e
	}
	e.Err = err
	return e
}

// watched is a connection that fails when nothing arrives for too long.
type watched struct{ net.Conn }

func (w watched) Read(p []byte) (int, error) {
	if err := w.SetReadDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return w.Conn.Read(p)
}

// credentials reveals what the server is signed in to with.
func credentials(h hop) (methods []ssh.AuthMethod, err error) {
	var signers []ssh.Signer
	for _, key := range h.keys {
		text, err := key.Reveal()
		if err != nil {
			return nil, err
		}
		signer, err := ssh.ParsePrivateKey([]byte(text))
		if err != nil { // its text is dropped: it might quote the key
			return nil, &study.Error{Code: "sftp.private_key_unreadable", Op: "read a private key of the source", Exit: study.ExitEnvironment,
				Hint: "private_key must refer to an OpenSSH or PEM private key without a passphrase (ssh-keygen -p -f KEY takes one off)"}
		}
		signers = append(signers, signer)
	}
	if len(signers) > 0 {
		methods = append(methods, ssh.PublicKeys(signers...))
	}
	if !h.password.IsZero() {
		text, err := h.password.Reveal()
		if err != nil {
			return nil, err
		}
		methods = append(methods, ssh.Password(text))
	}
	return methods, nil
}

// pin is how a server proves itself.
type pin struct {
	algorithms [][]string // to offer, in turn
	verify     ssh.HostKeyCallback
}

var (
	errOtherKey    = errors.New("another host key")
	errUnknownHost = errors.New("no host key")
)

// pinOf takes the server's key from the config.
func pinOf(h hop, rt connectors.Runtime) (pin, error) {
	if h.knownHosts == "" {
		types := keyTypes
		if h.old {
			types = append(slices.Clone(types), []string{ssh.KeyAlgoRSA})
		}
		return pin{types, func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if ssh.FingerprintSHA256(key) != h.hostKey {
				return errOtherKey
			}
			return nil
		}}, nil
	}
	file := h.knownHosts
	if !filepath.IsAbs(file) {
		file = filepath.Join(rt.Dir, file)
	}
	db, err := knownhosts.NewDB(file)
	if err != nil {
		return pin{}, &study.Error{Code: "sftp.known_hosts_unreadable", Op: "read the known_hosts file of the source", Exit: study.ExitEnvironment,
			Hint: "known_hosts must name a readable OpenSSH known_hosts file; ssh-keygen -lf FILE shows whether it is one"}
	}
	check := db.HostKeyCallback()
	return pin{[][]string{db.HostKeyAlgorithms(h.address)}, func(host string, addr net.Addr, key ssh.PublicKey) error {
		switch err := check(host, addr, key); {
		case err == nil:
			return nil
		case knownhosts.IsHostUnknown(err):
			return errUnknownHost
		}
		return errOtherKey
	}}, nil
}

// keyTypes are the types of host keys, the common ones first.
var keyTypes = [][]string{
	{ssh.KeyAlgoED25519},
	{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521},
	{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
}

const codeMismatch = "sftp.host_key_mismatch"

// explainHandshake says why a server and we did not come together. refused is
// what the pin said of its key, if it came to that.
func explainHandshake(h hop, refused, err error) error {
	e := &study.Error{Op: "connect to " + h.address}
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case errors.Is(refused, errUnknownHost):
		e.Code, e.Exit = "sftp.host_key_unknown", study.ExitBlocked
		e.Hint = "known_hosts has no key of this server: ask its operator for the fingerprint, compare it with ssh-keyscan HOST | ssh-keygen -lf -, then add the line of ssh-keyscan"
	case refused != nil, errors.As(err, &negotiation) && negotiation.What == "host key":
		e.Code, e.Exit = codeMismatch, study.ExitBlocked
		e.Hint = "the server shows another key than the pinned one; nothing was sent to it. Ask its operator by another channel whether the key was changed. " +
			"Only if so, pin the new one: host_key: SHA256:… (ssh-keyscan HOST | ssh-keygen -lf -), or replace its line in known_hosts"
	case strings.Contains(err.Error(), "unable to authenticate"):
		e.Code, e.Exit = "sftp.auth_failed", study.ExitEnvironment
		e.Hint = "the server does not accept this user with this key or password: compare user and private_key with what its operator has installed"
	case errors.As(err, &negotiation):
		e.Code, e.Exit = "sftp.no_common_algorithm", study.ExitEnvironment
		e.Hint = "the server offers only algorithms that are no longer safe; its operator has to update it, or the source has to say old_algorithms: true"
	default:
		e.Code, e.Temporary = "sftp.connection_lost", true
		e.Hint = "the server ended the connection before the sign-in; it is tried again"
	}
	return e
}

// explainStart says why a server that has let us in offers no files.
func explainStart(err error) error {
	if strings.Contains(err.Error(), "subsystem request failed") {
		return &study.Error{Code: "sftp.no_subsystem", Op: "start SFTP on the server", Exit: study.ExitEnvironment,
			Hint: "the sign-in works, but the server offers this user no SFTP; its operator has to allow it"}
	}
	return &study.Error{Code: "sftp.connection_lost", Op: "start SFTP on the server", Temporary: true,
		Hint: "the server ended the connection; it is tried again"}
}

// cancelled is the reason of the context, where there is one, else err.
func cancelled(ctx context.Context, err error) error {
	if reason := ctx.Err(); reason != nil {
		return reason
	}
	return err
}
