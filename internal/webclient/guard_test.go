package webclient

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// forbidden are addresses that a document, a server or a name service could give us
// so that we ask something inside. The names resolve as below.
var forbidden = strings.Fields(`
	https://127.0.0.1/ https://127.0.0.1:8443/ https://127.1.2.3/ https://127.255.255.254/
	https://localhost/ https://localhost./ https://LOCALHOST/ https://0.0.0.0/ https://0.1.2.3/
	https://10.0.0.1/ https://10.255.255.255/ https://172.16.0.1/ https://172.31.255.254/ https://192.168.0.1/
	https://169.254.169.254/latest/meta-data/ https://169.254.0.1/ https://100.64.0.1/ https://100.100.100.200/
	https://192.0.0.192/ https://192.0.2.1/ https://198.18.0.1/ https://198.51.100.7/ https://203.0.113.9/
	https://224.0.0.1/ https://239.255.255.250/ https://240.0.0.1/ https://255.255.255.255/ https://192.88.99.1/
	https://[::1]/ https://[::]/ https://[fe80::1]/ https://[fe80::1%25eth0]/ https://[fc00::1]/ https://[fd00:ec2::254]/
	https://[ff02::1]/ https://[::ffff:127.0.0.1]/ https://[::ffff:a9fe:a9fe]/ https://[::127.0.0.1]/
	https://[64:ff9b::7f00:1]/ https://[64:ff9b::a9fe:a9fe]/ https://[64:ff9b:1::1]/ https://[2002:7f00:1::]/
	https://[2001::7f00:1]/ https://[2001:db8::1]/ https://[100::1]/ https://[fec0::1]/
	https://2130706433/ https://0x7f000001/ https://017700000001/ https://0177.0.0.1/ https://127.1/ https://0x7f.0.0.1/
	https://127.0.0.0x1/ https://127.0.0.1./ https://3232235521/
	https://rebound.example/ https://metadata.google.internal/ https://inside6.example/ https://mapped.example/ https://both.example/
	https://١٢٧.example/`)

// names are what the name service of the test says.
var names = map[string][]string{
	"localhost.": {"127.0.0.1", "::1"}, "rebound.example.": {"127.0.0.1"}, "metadata.google.internal.": {"169.254.169.254"}, "inside6.example.": {"fd12::1"},
	"mapped.example.": {"::ffff:10.0.0.1"}, "both.example.": {"10.0.0.1", "192.168.1.1"}, "edc.hospital.example.": {"127.0.0.1"},
}

// nameService has names resolved by the test instead of by this machine.
func nameService(t *testing.T) {
	t.Helper()
	real := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = real })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go resolve(theirs)
		return ours, nil
	}}
}

// resolve answers questions, framed as over TCP.
func resolve(c net.Conn) {
	defer c.Close()
	for {
		var size uint16
		if binary.Read(c, binary.BigEndian, &size) != nil {
			return
		}
		question := make([]byte, size)
		if _, err := io.ReadFull(c, question); err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(question) != nil {
			return
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		q := m.Questions[0]
		for _, text := range names[strings.ToLower(q.Name.String())] {
			ip := netip.MustParseAddr(text)
			header := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 0}
			switch {
			case q.Type == dnsmessage.TypeA && ip.Is4():
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: ip.As4()}})
			case q.Type == dnsmessage.TypeAAAA && !ip.Is4():
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
			}
		}
		answer, err := m.Pack()
		if err != nil || binary.Write(c, binary.BigEndian, uint16(len(answer))) != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

func TestForbiddenAddresses(t *testing.T) {
	nameService(t)
	if len(forbidden) < 60 {
		t.Fatalf("%d addresses", len(forbidden))
	}
	c := client(t, Defaults())
	for _, address := range forbidden {
		_, err := c.Read(t.Context(), Request{Op: "ask", URL: address})
		switch code := codeOf(err); {
		case code == "web.address_refused":
		case code == "web.address" && strings.Contains(address, "%25"): // some resolvers know no zones
		case code == "web.unresolved" && strings.Contains(address, "١"): // no such name
		default:
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A name that the operator did not name is refused by what it resolves to at the
// moment of connecting, and a named one is reached.
func TestNamesAreJudgedByWhatTheyResolveTo(t *testing.T) {
	nameService(t)
	var asked atomic.Int32
	address := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	port := address[strings.LastIndex(address, ":"):]
	named := Defaults()
	named.Allow = []string{"EDC.hospital.example."}
	if _, err := client(t, named).Read(t.Context(), Request{URL: "http://edc.hospital.example" + port}); err != nil || asked.Load() != 1 {
		t.Errorf("the host that was named: %v", err)
	}
	if _, err := client(t, Defaults()).Read(t.Context(), Request{URL: "https://edc.hospital.example" + port}); codeOf(err) != "web.address_refused" {
		t.Errorf("the host that was not named: %v", err)
	}
	if asked.Load() != 1 {
		t.Error("the server was reached")
	}
}

func TestGuardAdmits(t *testing.T) {
	g := newGuard([]string{"10.2.0.0/16", "edc.hospital.example", "169.254.10.1", "[fd00::7]"})
	for _, c := range []struct {
		ip, host string
		want     bool
	}{
		{"8.8.8.8", "x.example", true}, {"2606:4700:4700::1111", "x.example", true}, {"::ffff:8.8.8.8", "x.example", true},
		{"172.15.255.255", "x.example", true}, {"172.32.0.0", "x.example", true}, {"100.63.255.255", "x.example", true}, {"100.128.0.0", "x.example", true},
		{"169.253.255.255", "x.example", true}, {"198.20.0.0", "x.example", true}, {"223.255.255.255", "x.example", true},
		{"10.2.3.4", "x.example", true}, {"::ffff:10.2.3.4", "x.example", true}, {"10.3.0.1", "x.example", false}, {"fd00::7", "x.example", true}, {"fd00::8", "x.example", false},
		{"10.3.0.1", "edc.hospital.example", true}, {"127.0.0.1", "edc.hospital.example", true}, {"fd00::8", "EDC.hospital.example.", true}, {"100.64.1.1", "edc.hospital.example", true},
		{"169.254.169.254", "edc.hospital.example", false}, {"fe80::1", "edc.hospital.example", false}, {"0.0.0.0", "edc.hospital.example", false},
		{"169.254.10.1", "x.example", true}, {"169.254.10.2", "x.example", false},
	} {
		if got := g.admits(netip.MustParseAddr(c.ip), c.host); got != c.want {
			t.Errorf("%s for %s: %v", c.ip, c.host, got)
		}
	}
}

func TestCheck(t *testing.T) {
	good := Defaults()
	for address, want := range map[string]string{
		"https://edc.example.org/api": "", "https://edc.example.org:8443/api?x=1": "",
		"edc.example.org": "url", "": "url", "ftp://edc.example.org": "url", "https://": "url", "http://edc.example.org": "url",
		"https://user:word@edc.example.org": "url", "https://127.0.0.1": "url", "https://edc.example.org:99999": "url", "https://edc .example": "url",
	} {
		var got string
		for _, m := range good.Check("web.", "url", address) {
			got += m.Key
			if m.Message == "" || m.Hint == "" || strings.Contains(m.Message+m.Hint, "word@") {
				t.Errorf("%q: %+v", address, m)
			}
		}
		if got != want {
			t.Errorf("%q: findings %q, want %q", address, got, want)
		}
	}
	bad := Limits{PerMinute: -1, MinRate: -1, Allow: []string{"https://edc.example.org", "10.2.0.0/16", "edc"}}
	if found := bad.Check("web.", "url", "https://edc.example.org"); len(found) != 6 || found[0].Key != "web.per_minute" || found[5].Key != "web.allow" {
		t.Errorf("%v", found)
	}
}
