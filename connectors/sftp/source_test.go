package sftp_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/sftp"
	"longitude/internal/edctest/sshd"
	"longitude/study"
)

func TestReadme(t *testing.T) { connectortest.Readme(t, sftp.Spec()) }

// TestBehaviour runs the suite against an OpenSSH server.
func TestBehaviour(t *testing.T) {
	connectortest.RunDrop(t, connectortest.DropHarness{
		Spec:   sftp.Spec(),
		Ignore: []goleak.Option{goleak.IgnoreAnyFunction("longitude/internal/edctest/sshd.(*Server).serve")},
		New: func(t *testing.T) (string, func(connectors.Ready, string) any, []string) {
			server := start(t)
			key := string(server.PrivateKey)
			return server.Root, func(ready connectors.Ready, after string) any {
				c := configOf(server)
				c.Ready, c.After = ready, after
				return c
			}, []string{key, strings.Split(key, "\n")[2]}
		},
	})
}

// start runs a server on a drop of its own. Where there is none to run, that is
// a failure, unless LONGITUDE_ALLOW_SKIPS=1.
func start(t *testing.T, settings ...string) *sshd.Server {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "drop")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	server, err := sshd.Start(context.Background(), dir, settings...)
	if err != nil {
		var told *study.Error
		if !errors.As(err, &told) {
			t.Fatal(err)
		}
		if os.Getenv("LONGITUDE_ALLOW_SKIPS") == "1" {
			t.Skip(err, told.Hint)
		}
		t.Fatal(err, told.Hint)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(server.Log())
		}
	})
	return server
}

func configOf(server *sshd.Server) *sftp.Config {
	return &sftp.Config{
		Address: server.Address, User: server.User, HostKey: server.HostKeyFingerprint,
		PrivateKey: connectors.NewSecret(string(server.PrivateKey)),
		Path:       server.Root + "/*.csv", Ready: connectors.Ready{Marker: ".done"}, After: connectors.AfterKeep,
	}
}

func open(t *testing.T, config *sftp.Config) connectors.Source {
	t.Helper()
	source, err := sftp.Spec().Open(config, connectortest.Runtime(t.Output(), t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	return source
}

func write(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTrust checks who is trusted, and what is said to whom it may concern.
func TestTrust(t *testing.T) {
	server, other := start(t), start(t)
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := unused.Addr().String()
	_ = unused.Close()
	known := func(lines string) string { return write(t, filepath.Join(t.TempDir(), "known_hosts"), lines) }
	onlySecond := strings.SplitAfter(server.KnownHosts, "\n")[1]
	for _, test := range []struct {
		name      string
		change    func(*sftp.Config)
		code      string // "" = welcome
		exit      int
		temporary bool
	}{
		{"pinned", func(*sftp.Config) {}, "", 0, false},
		{"pinned to a key of another type", func(c *sftp.Config) { c.HostKey = ssh.FingerprintSHA256(server.HostKeys[1]) }, "", 0, false},
		{"known host", func(c *sftp.Config) { c.HostKey, c.KnownHosts = "", known(server.KnownHosts) }, "", 0, false},
		{"known by a key of another type", func(c *sftp.Config) { c.HostKey, c.KnownHosts = "", known(onlySecond) }, "", 0, false},
		{"other host key", func(c *sftp.Config) { c.HostKey = other.HostKeyFingerprint }, "sftp.host_key_mismatch", study.ExitBlocked, false},
		{"other known host key", func(c *sftp.Config) {
			c.HostKey, c.KnownHosts = "", known(strings.ReplaceAll(other.KnownHosts, hostField(other), hostField(server)))
		}, "sftp.host_key_mismatch", study.ExitBlocked, false},
		{"unknown host", func(c *sftp.Config) { c.HostKey, c.KnownHosts = "", known(other.KnownHosts) }, "sftp.host_key_unknown", study.ExitBlocked, false},
		{"no known_hosts file", func(c *sftp.Config) { c.HostKey, c.KnownHosts = "", "nowhere" }, "sftp.known_hosts_unreadable", study.ExitEnvironment, false},
		{"the old key and the new", func(c *sftp.Config) {
			c.PrivateKeys, c.PrivateKey = []connectors.Secret{connectors.NewSecret(string(other.PrivateKey)), c.PrivateKey}, connectors.Secret{}
		}, "", 0, false},
		{"other client key", func(c *sftp.Config) { c.PrivateKey = connectors.NewSecret(string(other.PrivateKey)) }, "sftp.auth_failed", study.ExitEnvironment, false},
		{"password not taken", func(c *sftp.Config) {
			c.PrivateKey, c.Password = connectors.Secret{}, connectors.NewSecret("sesame")
		}, "sftp.auth_failed", study.ExitEnvironment, false},
		{"no key at all", func(c *sftp.Config) { c.PrivateKey = connectors.NewSecret("sesame") }, "sftp.private_key_unreadable", study.ExitEnvironment, false},
		{"secret not found", func(c *sftp.Config) {
			c.PrivateKey = connectors.SecretFrom(func() (string, error) {
				return "", &study.Error{Code: "config.secret_missing", Op: "find a secret", Hint: "set it"}
			})
		}, "config.secret_missing", 0, false},
		{"nobody there", func(c *sftp.Config) { c.Address = closed }, "sftp.unreachable", 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := configOf(server)
			test.change(config)
			err := open(t, config).Check(t.Context())
			var told *study.Error
			switch {
			case test.code == "":
				if err != nil {
					t.Fatal(err)
				}
				return
			case !errors.As(err, &told):
				t.Fatalf("answered %v", err)
			case told.Code != test.code || told.Exit != test.exit || told.Temporary != test.temporary || told.Hint == "":
				t.Errorf("answered %+v", told)
			}
			if strings.Contains(err.Error()+told.Hint, "sesame") {
				t.Error("a secret in an error")
			}
		})
	}
}

// hostField is how known_hosts writes the address.
func hostField(s *sshd.Server) string { host, _, _ := strings.Cut(s.KnownHosts, " "); return host }

// A server that accepts and then says nothing is left as soon as the caller asks.
func TestSilentServer(t *testing.T) {
	server := start(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	config := configOf(server)
	config.Address = silent.Addr().String()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if err := open(t, config).Check(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("answered %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("left after %v", took)
	}
}

// A relative path starts where the login does.
func TestRelativePath(t *testing.T) {
	server := start(t)
	write(t, filepath.Join(server.Root, "visits.csv"), "x")
	write(t, filepath.Join(server.Root, "visits.csv.done"), "")
	config := configOf(server)
	config.Path = "*.csv"
	n := 0
	for d, err := range open(t, config).Pull(t.Context(), connectors.Cursor{}) {
		if err != nil || d.Name != "visits.csv" {
			t.Fatal(err, d.Name)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d deliveries", n)
	}
}

func TestValidate(t *testing.T) {
	server := start(t)
	for _, test := range []struct {
		key    string // of the one finding; "" = none
		change func(*sftp.Config)
	}{
		{"", func(*sftp.Config) {}},
		{"", func(c *sftp.Config) { c.Address = "sftp.site-a.example" }},
		{"", func(c *sftp.Config) { c.Address = "::1" }},
		{"", func(c *sftp.Config) { c.HostKey, c.KnownHosts = "", "known_hosts" }},
		{"", func(c *sftp.Config) { c.PrivateKey, c.Password = connectors.Secret{}, connectors.NewSecret("x") }},
		{"", func(c *sftp.Config) { c.Ready = connectors.Ready{} }},
		{"", func(c *sftp.Config) { c.After = "archive:/processed" }},
		{"address", func(c *sftp.Config) { c.Address = "" }},
		{"user", func(c *sftp.Config) { c.User = "" }},
		{"private_key", func(c *sftp.Config) { c.PrivateKey = connectors.Secret{} }},
		{"host_key", func(c *sftp.Config) { c.HostKey = "" }},
		{"host_key", func(c *sftp.Config) { c.HostKey = "MD5:00:11" }},
		{"host_key", func(c *sftp.Config) { c.HostKey = "SHA256:short" }},
		{"known_hosts", func(c *sftp.Config) { c.KnownHosts = "known_hosts" }},
		{"path", func(c *sftp.Config) { c.Path = "" }},
		{"path", func(c *sftp.Config) { c.Path = "/outgoing/" }},
		{"path", func(c *sftp.Config) { c.Path = "/*/visits.csv" }},
		{"path", func(c *sftp.Config) { c.Path = "/outgoing/[a.csv" }},
		{"ready", func(c *sftp.Config) { c.Ready.Checksum = ".sha256" }},
		{"ready.marker", func(c *sftp.Config) { c.Ready.Marker = "/done" }},
		{"ready.stable_for", func(c *sftp.Config) { c.Ready = connectors.Ready{StableFor: -1} }},
		{"", func(c *sftp.Config) {
			c.PrivateKey, c.PrivateKeys = connectors.Secret{}, []connectors.Secret{c.PrivateKey}
		}},
		{"", func(c *sftp.Config) { c.Proxy = bastionOf(server) }},
		{"proxy.host_key", func(c *sftp.Config) { c.Proxy = bastionOf(server); c.Proxy.HostKey = "" }},
		{"proxy.private_key", func(c *sftp.Config) { c.Proxy = bastionOf(server); c.Proxy.PrivateKey = connectors.Secret{} }},
		{"unpack.key", func(c *sftp.Config) { c.Path += ".pgp" }},
		{"unpack.signed_by", func(c *sftp.Config) { c.Unpack.SignedBy = "signers.asc" }},
		{"after", func(c *sftp.Config) { c.After = "burn" }},
		{"after", func(c *sftp.Config) { c.After = "archive:" }},
		{"after", func(c *sftp.Config) { c.After = "archive:" + server.Root + "/" }},
	} {
		config := configOf(server)
		test.change(config)
		found := sftp.Spec().Validate(config)
		if test.key == "" && len(found) == 0 {
			continue
		}
		if len(found) != 1 || found[0].Key != test.key || found[0].Message == "" || found[0].Hint == "" {
			t.Errorf("want one finding about %q: %+v", test.key, found)
		}
	}
	if found := sftp.Spec().Validate(&sftp.Config{}); len(found) < 5 {
		t.Errorf("an empty config has %d findings", len(found))
	}
}
