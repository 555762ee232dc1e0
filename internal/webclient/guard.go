package webclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// guard decides which addresses may be reached: those of the public Internet, and
// what the operator opted into. An address that a server or a document names could
// otherwise point at the machine itself, its cloud's credentials or the network
// around it. It is asked about the resolved address when the connection is made, so
// a name that resolves to something else the second time gains nothing.
type guard struct {
	networks []netip.Prefix
	hosts    map[string]bool
}

func newGuard(allow []string) guard {
	g := guard{hosts: map[string]bool{}}
	for _, text := range allow {
		if network, ok := networkOf(text); ok {
			g.networks = append(g.networks, network)
			continue
		}
		g.hosts[hostName(text)] = true
	}
	return g
}

// networkOf reads 10.2.0.0/16 or an address alone.
func networkOf(text string) (netip.Prefix, bool) {
	if network, err := netip.ParsePrefix(text); err == nil {
		return network.Masked(), true
	}
	if ip, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil && ip.Zone() == "" {
		return netip.PrefixFrom(ip, ip.BitLen()), true
	}
	return netip.Prefix{}, false
}

func hostName(text string) string { return strings.ToLower(strings.TrimSuffix(text, ".")) }

// address refuses what is no address of a server: only https, or http to what the
// operator opted into; no user in it; no number that some resolvers take for an
// address in disguise.
func (g guard) address(u *url.URL) error {
	host := u.Hostname()
	port, err := strconv.ParseUint(portOf(u), 10, 16)
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Opaque != "", host == "", err != nil, port == 0:
		return errAddress
	case u.User != nil:
		return errUser
	case disguised(host):
		return errForbidden
	case u.Scheme == "http" && !g.opted(host):
		return errPlain
	}
	if ip, err := netip.ParseAddr(host); err == nil && !g.admits(ip, host) {
		return errForbidden
	}
	return nil
}

// opted reports whether the operator named this host or a network that it is in.
func (g guard) opted(host string) bool {
	if g.hosts[hostName(host)] {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && g.within(ip)
}

func (g guard) within(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, network := range g.networks {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

// disguised reports whether a host that is no plain address ends like one: 127.1,
// 0x7f.1, 017700000001. No name of a host ends in a number.
func disguised(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	labels := strings.Split(hostName(host), ".")
	last := labels[len(labels)-1]
	_, err := strconv.ParseUint(strings.TrimPrefix(last, "0x"), 16, 64)
	return last == "" || err == nil && (strings.HasPrefix(last, "0x") || strings.Trim(last, "0123456789") == "")
}

// admits reports whether a connection to ip may be made for host. A host that the
// operator named may be private, yet never a place of link-local metadata: for that
// a network has to be named.
func (g guard) admits(ip netip.Addr, host string) bool {
	ip = ip.Unmap()
	switch {
	case g.within(ip):
		return true
	case ip.Zone() != "":
		return false
	case g.hosts[hostName(host)] && (ip.IsPrivate() || ip.IsLoopback() || shared.Contains(ip)):
		return true
	}
	return public(ip)
}

var shared = netip.MustParsePrefix("100.64.0.0/10") // of carriers and some clouds' own networks

// special are the blocks inside of what looks global that are not: IANA's registries
// of special-purpose addresses, and what embeds an IPv4 address that could be any.
var special = func() (all []netip.Prefix) {
	for _, text := range strings.Fields(`0.0.0.0/8 100.64.0.0/10 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
		198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4
		2001::/23 2001:db8::/32 2002::/16 3fff::/20`) {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}()

var global6 = netip.MustParsePrefix("2000::/3")

func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Is6() && !global6.Contains(ip) {
		return false
	}
	for _, network := range special {
		if network.Contains(ip) {
			return false
		}
	}
	return true
}

// begins is how long a server may think before its answer begins, unless somebody
// knows that it needs longer.
const begins = 2 * time.Minute

// newTransport makes the connections: TLS 1.2 or later, no proxy of the
// environment, and nothing unpacked on the way.
func newTransport(g guard, roots *x509.CertPool, wait time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:            g.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  wait,
		MaxResponseHeaderBytes: 256 << 10,
		IdleConnTimeout:        time.Minute,
		MaxIdleConnsPerHost:    32,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

func (g guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errAddress
	}
	d := net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second,
		ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(resolved)
			if err != nil || !g.admits(at.Addr(), host) {
				return errForbidden
			}
			return nil
		}}
	return d.DialContext(ctx, network, address)
}
