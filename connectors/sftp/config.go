package sftp

import (
	"encoding/base64"
	"net"
	"strings"

	"longitude/connectors"
)

// Config is what the operator says about an SFTP drop.
type Config struct {
	Address       string              `yaml:"address" doc:"host or host:port of the server"`
	User          string              `yaml:"user" doc:"user name at the server"`
	PrivateKey    connectors.Secret   `yaml:"private_key" doc:"private key in OpenSSH or PEM form, without a passphrase"`
	PrivateKeys   []connectors.Secret `yaml:"private_keys" doc:"several private keys, tried in turn: the new and the old one while a key is changed"`
	Password      connectors.Secret   `yaml:"password" doc:"password, where the server takes no keys"`
	HostKey       string              `yaml:"host_key" doc:"the server's key as SHA256:…, as printed by ssh-keygen -lf; this or known_hosts is required"`
	KnownHosts    string              `yaml:"known_hosts" doc:"path of an OpenSSH known_hosts file that holds the server's key"`
	Proxy         Proxy               `yaml:"proxy"`
	OldAlgorithms bool                `yaml:"old_algorithms" doc:"also accept algorithms that are no longer safe (SHA-1 signatures and key exchange, CBC), for a server that cannot be updated"`
	Path          string              `yaml:"path" doc:"folder and file pattern on the server, like /outgoing/*.csv; a relative path starts where the login does"`
	Ready         connectors.Ready    `yaml:"ready"`
	After         string              `yaml:"after" doc:"what happens to a file once its records are durable: keep, delete, or archive:FOLDER on the same file system of the server"`
	Unpack        connectors.Unpack   `yaml:"unpack"`
}

// Proxy is a bastion: an SSH server through which the drop is reached.
type Proxy struct {
	Address    string            `yaml:"address" doc:"host or host:port of a bastion through which the server is reached"`
	User       string            `yaml:"user" doc:"user name at the bastion"`
	PrivateKey connectors.Secret `yaml:"private_key" doc:"private key for the bastion"`
	HostKey    string            `yaml:"host_key" doc:"the bastion's key as SHA256:…; this or known_hosts is required"`
	KnownHosts string            `yaml:"known_hosts" doc:"path of an OpenSSH known_hosts file that holds the bastion's key"`
}

// Spec is the entry of this connector in the list.
func Spec() connectors.Spec {
	return connectors.Define("sftp", "files on an SFTP server",
		func() Config { return Config{After: connectors.AfterKeep} }, validate, open)
}

func validate(c Config) []connectors.Finding {
	found := c.target().validate("")
	if len(c.keys()) == 0 && c.Password.IsZero() {
		found = append(found, connectors.Finding{Key: "private_key", Message: "no credential",
			Hint: "write private_key: ${file:secrets/…}, or password where the server takes no keys"})
	}
	if c.Proxy.Address != "" {
		found = append(found, c.bastion().validate("proxy.")...)
		if c.Proxy.PrivateKey.IsZero() {
			found = append(found, connectors.Finding{Key: "proxy.private_key", Message: "no credential", Hint: "write private_key: ${file:secrets/…}"})
		}
	}
	return append(found, connectors.CheckPickup(c.Path, c.Ready, c.After, c.Unpack)...)
}

// keys are the private keys, in the order in which they are tried.
func (c Config) keys() []connectors.Secret {
	if c.PrivateKey.IsZero() {
		return c.PrivateKeys
	}
	return append([]connectors.Secret{c.PrivateKey}, c.PrivateKeys...)
}

// hop is one server on the way: who it is, who we are there.
type hop struct {
	address, user       string
	keys                []connectors.Secret
	password            connectors.Secret
	hostKey, knownHosts string
	old                 bool // accept old algorithms
}

func (c Config) target() hop {
	return hop{hostPort(c.Address), c.User, c.keys(), c.Password, c.HostKey, c.KnownHosts, c.OldAlgorithms}
}

func (c Config) bastion() hop {
	p := c.Proxy
	return hop{hostPort(p.Address), p.User, []connectors.Secret{p.PrivateKey}, connectors.Secret{}, p.HostKey, p.KnownHosts, false}
}

// validate reports what is wrong with a hop; its keys begin with prefix.
func (h hop) validate(prefix string) (found []connectors.Finding) {
	find := func(wrong bool, key, message, hint string) {
		if wrong {
			found = append(found, connectors.Finding{Key: prefix + key, Message: message, Hint: hint})
		}
	}
	host, _, err := net.SplitHostPort(h.address)
	find(err != nil || host == "", "address", "not an address of a server", "write host:port, like sftp.site.example:22")
	find(h.user == "", "user", "no user", "write the user name that the server knows")
	find(h.hostKey == "" && h.knownHosts == "", "host_key", "no host key is pinned, so any server could pose as this one",
		"write host_key: SHA256:… as the server's operator tells it (ssh-keyscan HOST | ssh-keygen -lf - shows what is served), or known_hosts: PATH")
	find(h.hostKey != "" && h.knownHosts != "", "known_hosts", "both host_key and known_hosts", "keep one of the two")
	find(h.hostKey != "" && !isFingerprint(h.hostKey), "host_key", "not a SHA-256 fingerprint",
		"write it as ssh-keygen -lf prints it: SHA256: and 43 characters")
	return found
}

// hostPort is an address with the port of SSH where none is written.
func hostPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), "22")
}

func isFingerprint(s string) bool {
	text, ok := strings.CutPrefix(s, "SHA256:")
	sum, err := base64.RawStdEncoding.DecodeString(text)
	return ok && err == nil && len(sum) == 32
}
