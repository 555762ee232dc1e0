package sftp_test

import (
	"errors"
	"path/filepath"
	"testing"

	"longitude/connectors"
	"longitude/connectors/sftp"
	"longitude/internal/edctest/sshd"
	"longitude/study"
)

func bastionOf(s *sshd.Server) sftp.Proxy {
	return sftp.Proxy{Address: s.Address, User: s.User, HostKey: s.HostKeyFingerprint, PrivateKey: connectors.NewSecret(string(s.PrivateKey))}
}

// The server is reached through a bastion, which proves itself as the server does
// and can refuse.
func TestBastion(t *testing.T) {
	server, bastion, closed := start(t), start(t, "AllowTcpForwarding yes"), start(t)
	write(t, filepath.Join(server.Root, "visits.csv"), "through the bastion")
	write(t, filepath.Join(server.Root, "visits.csv.done"), "")
	config := configOf(server)
	config.Proxy = bastionOf(bastion)
	source := open(t, config)
	for range 2 { // and again, after the bastion has gone away
		if got := texts(t, source); len(got) != 1 || got[0] != "through the bastion" {
			t.Errorf("delivered %q", got)
		}
		bastion.Cut()
		lasting(t, source)
	}
	for name, test := range map[string]struct {
		change func(*sftp.Config)
		code   string
	}{
		"does not forward":        {func(c *sftp.Config) { c.Proxy = bastionOf(closed) }, "sftp.unreachable"},
		"is another":              {func(c *sftp.Config) { c.Proxy.HostKey = closed.HostKeyFingerprint }, "sftp.host_key_mismatch"},
		"does not know us":        {func(c *sftp.Config) { c.Proxy.PrivateKey = connectors.NewSecret(string(closed.PrivateKey)) }, "sftp.auth_failed"},
		"the server is another":   {func(c *sftp.Config) { c.HostKey = closed.HostKeyFingerprint }, "sftp.host_key_mismatch"},
		"the server is not there": {func(c *sftp.Config) { c.Address = "127.0.0.1:1" }, "sftp.unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			config := configOf(server)
			config.Proxy = bastionOf(bastion)
			test.change(config)
			var told *study.Error
			if err := open(t, config).Check(t.Context()); !errors.As(err, &told) || told.Code != test.code || told.Hint == "" {
				t.Errorf("answered %v", err)
			}
		})
	}
}

// Old algorithms are for servers that the operator names.
func TestOldAlgorithms(t *testing.T) {
	server := start(t, "KexAlgorithms diffie-hellman-group14-sha1", "Ciphers aes128-cbc", "MACs hmac-sha1")
	config := configOf(server)
	var told *study.Error
	if err := open(t, config).Check(t.Context()); !errors.As(err, &told) || told.Code != "sftp.no_common_algorithm" {
		t.Errorf("without being asked: %v", err)
	}
	config.OldAlgorithms = true
	if err := open(t, config).Check(t.Context()); err != nil {
		t.Error(err)
	}
}
