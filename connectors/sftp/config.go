package sftp

import (
	"encoding/base64"
	"net"
	"strings"

	"longitude/connectors"
)

// Config is what the operator says about an SFTP drop.
type Config struct {
	Address    string            `yaml:"address" doc:"host or host:port of the server"`
	User       string            `yaml:"user" doc:"user name at the server"`
	PrivateKey connectors.Secret `yaml:"private_key" doc:"private key in OpenSSH or PEM form, without a passphrase"`
	Password   connectors.Secret `yaml:"password" doc:"password, where the server takes no keys"`
	HostKey    string            `yaml:"host_key" doc:"the server's key as SHA256:…, as printed by ssh-keygen -lf; this or known_hosts is required"`
	KnownHosts string            `yaml:"known_hosts" doc:"path of an OpenSSH known_hosts file that holds the server's key"`
	Path       string            `yaml:"path" doc:"folder and file pattern on the server, like /outgoing/*.csv; a relative path starts where the login does"`
	Ready      connectors.Ready  `yaml:"ready"`
	After      string            `yaml:"after" doc:"what happens to a file once its records are durable: keep, delete, or archive:FOLDER on the same file system of the server"`
	Unpack     connectors.Unpack `yaml:"unpack"`
}

// Spec is the entry of this connector in the list.
func Spec() connectors.Spec {
	return connectors.Define("sftp", "files on an SFTP server",
		func() Config { return Config{After: connectors.AfterKeep} }, validate, open)
}

func validate(c Config) []connectors.Finding {
	var found []connectors.Finding
	find := func(wrong bool, key, message, hint string) {
		if wrong {
			found = append(found, connectors.Finding{Key: key, Message: message, Hint: hint})
		}
	}
	host, _, err := net.SplitHostPort(c.hostPort())
	find(err != nil || host == "", "address", "not an address of a server", "write host:port, like sftp.site.example:22")
	find(c.User == "", "user", "no user", "write the user name that the server knows")
	find(c.PrivateKey.IsZero() && c.Password.IsZero(), "private_key", "no credential",
		"write private_key: ${file:secrets/…}, or password where the server takes no keys")
	find(c.HostKey == "" && c.KnownHosts == "", "host_key", "no host key is pinned, so any server could pose as this one",
		"write host_key: SHA256:… as the server's operator tells it (ssh-keyscan HOST | ssh-keygen -lf - shows what is served), or known_hosts: PATH")
	find(c.HostKey != "" && c.KnownHosts != "", "known_hosts", "both host_key and known_hosts", "keep one of the two")
	find(c.HostKey != "" && !isFingerprint(c.HostKey), "host_key", "not a SHA-256 fingerprint",
		"write it as ssh-keygen -lf prints it: SHA256: and 43 characters")
	return append(found, connectors.CheckPickup(c.Path, c.Ready, c.After, c.Unpack)...)
}

// hostPort is the address with the port of SSH where none is written.
func (c Config) hostPort() string {
	if _, _, err := net.SplitHostPort(c.Address); err == nil {
		return c.Address
	}
	return net.JoinHostPort(strings.Trim(c.Address, "[]"), "22")
}

func isFingerprint(s string) bool {
	text, ok := strings.CutPrefix(s, "SHA256:")
	sum, err := base64.RawStdEncoding.DecodeString(text)
	return ok && err == nil && len(sum) == 32
}
