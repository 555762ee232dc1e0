package sshd_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"longitude/internal/edctest/sshd"
)

// TestServer signs in, reads a file where logins start, and finds nothing left
// when the context has ended.
func TestServer(t *testing.T) {
	defer goleak.VerifyNone(t)
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "visits.csv"), []byte("here"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server, err := sshd.Start(ctx, root)
	if err != nil {
		if os.Getenv("LONGITUDE_ALLOW_SKIPS") == "1" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	defer server.Stop()
	client, files := signIn(t, server)
	f, err := files.Open("visits.csv")
	if err != nil {
		t.Fatal(err, server.Log())
	}
	text := make([]byte, 4)
	if _, err := f.Read(text); err != nil || string(text) != "here" {
		t.Errorf("read %q, %v", text, err)
	}
	if where, err := files.Getwd(); err != nil || where != root {
		t.Errorf("logins start in %q, %v", where, err)
	}
	server.Cut()
	if err := client.Wait(); err == nil {
		t.Error("the connection was not cut")
	}
	_ = files.Close()
	cancel()
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", server.Address); err == nil {
		_ = conn.Close()
		t.Error("still listens after Stop")
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "longitude-sshd-*")); len(left) > 0 {
		for _, dir := range left {
			if key, err := os.ReadFile(filepath.Join(dir, "login")); err == nil && string(key) == string(server.PrivateKey) {
				t.Errorf("keys were left in %s", dir)
			}
		}
	}
}

func signIn(t *testing.T, server *sshd.Server) (*ssh.Client, *sftp.Client) {
	t.Helper()
	signer, err := ssh.ParsePrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ssh.Dial("tcp", server.Address, &ssh.ClientConfig{
		User: server.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyAlgorithms: []string{server.HostKeys[0].Type()}, HostKeyCallback: ssh.FixedHostKey(server.HostKeys[0]),
	})
	if err != nil {
		t.Fatal(err, server.Log())
	}
	files, err := sftp.NewClient(client)
	if err != nil {
		t.Fatal(err)
	}
	return client, files
}
