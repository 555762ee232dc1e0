package sftp_test

import (
	"context"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"

	"longitude/connectors"
	"longitude/connectors/connectortest"
	"longitude/connectors/sftp"
	"longitude/internal/edctest/sshd"
)

func TestReadme(t *testing.T) { connectortest.Readme(t, sftp.Spec()) }

// TestBehaviour runs the suite against an OpenSSH server, once for each way of
// being ready.
func TestBehaviour(t *testing.T) {
	for name, ready := range map[string]connectors.Ready{
		"marker": {Marker: ".done"}, "checksum": {Checksum: ".sha256"}, "stable": {StableFor: 1e9},
	} {
		t.Run(name, func(t *testing.T) {
			connectortest.Run(t, connectortest.Harness{
				Spec:   sftp.Spec(),
				Ignore: []goleak.Option{goleak.IgnoreAnyFunction("longitude/internal/edctest/sshd.(*Server).serve")},
				New: func(t *testing.T) connectortest.Place {
					server, dir := start(t)
					config := configOf(server, dir, ready)
					deleting := *config
					deleting.After = connectors.AfterDelete
					place := connectortest.Drop(t, dir, ready, config, &deleting)
					place.Secrets = []string{string(server.PrivateKey)}
					return place
				},
			})
		})
	}
}

// start runs a server on a drop of its own. Where there is none to run, that is
// a failure, unless LONGITUDE_ALLOW_SKIPS=1.
func start(t *testing.T) (*sshd.Server, string) {
	t.Helper()
	dir := t.TempDir()
	server, err := sshd.Start(context.Background(), dir)
	if err != nil {
		if os.Getenv("LONGITUDE_ALLOW_SKIPS") == "1" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(server.Log())
		}
	})
	return server, dir
}

func configOf(server *sshd.Server, dir string, ready connectors.Ready) *sftp.Config {
	return &sftp.Config{
		Address: server.Address, User: server.User, HostKey: server.HostKeyFingerprint,
		PrivateKey: connectors.NewSecret(string(server.PrivateKey)),
		Path:       dir + "/*.csv", Ready: ready, After: connectors.AfterKeep,
	}
}

var _ = io.EOF
