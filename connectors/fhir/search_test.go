package fhir_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"longitude/connectors"
	"longitude/connectors/fhir"
	server "longitude/internal/edctest/fhir"
	"longitude/study"
)

func TestSearches(t *testing.T) {
	s := filled()
	c := newClient(t, s, "search")
	if n := len(c.all()); n != 4 {
		t.Fatalf("%d pages; want one of patients and three of observations", n)
	}
	c.config.Overlap = 0
	s.Put(`{"resourceType":"Observation","id":"new","status":"preliminary"}`)
	texts := c.all()
	if len(texts) == 0 || !strings.Contains(texts[len(texts)-1], `"preliminary"`) {
		t.Errorf("%q", texts)
	}
	c = newClient(t, s, "search")
	c.config.Types, c.config.Filters = []string{"Observation"}, map[string]string{"Observation": "status=preliminary"}
	if texts = c.all(); len(texts) != 1 || strings.Contains(texts[0], `"final"`) {
		t.Errorf("of a filter: %q", texts)
	}
}

// A search that the server has forgotten begins again, with its type.
func TestSearchIsForgotten(t *testing.T) {
	s := filled()
	c := newClient(t, s, "search")
	if texts, err := c.pull(2); err != nil || len(texts) != 2 {
		t.Fatal(err)
	}
	s.Forget()
	texts := c.all()
	if seen := strings.Join(texts, ""); strings.Count(seen, `"id":"1a"`) == 0 || strings.Count(seen, `"id":"2e"`) == 0 {
		t.Errorf("%q", texts)
	}
}

func TestPages(t *testing.T) {
	for fault, want := range map[server.Fault]string{server.Outcome: "fhir.outcome", server.Truncated: "fhir.not_fhir", server.Transient: "fhir.outcome_passing",
		server.Failing: "fhir.outcome_passing", server.Busy: "web.busy", server.Expired: "web.not_found"} {
		s := filled()
		c := newClient(t, s, "search")
		c.config.Web.Attempts = 1
		s.Fail(2, fault)
		if _, err := c.pull(all); code(err) != want {
			t.Errorf("fault %d: %v; want %s", fault, err, want)
		}
		if n := len(c.all()); n < 3 {
			t.Errorf("fault %d: %d pages after it", fault, n)
		}
	}
}

// SMART Backend Services: a key in PEM or as JWK signs in, and again when the
// server has forgotten the token.
func TestBackend(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := jose.JSONWebKey{Key: ecKey, KeyID: "k1"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]struct {
		key    string
		public any
		kid    string
	}{
		"rsa in pkcs8": {encode("PRIVATE KEY", der), &rsaKey.PublicKey, "k1"},
		"rsa in pkcs1": {encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), &rsaKey.PublicKey, "k1"},
		"ec":           {encode("EC PRIVATE KEY", sec1), &ecKey.PublicKey, "k1"},
		"jwk":          {string(jwk), &ecKey.PublicKey, ""},
	} {
		s := filled()
		s.Client = &server.Client{ID: "longitude", Key: k.public, Kid: "k1"}
		c := newClient(t, s, "bulk")
		c.config.Auth = fhir.Auth{Kind: "backend", ClientID: "longitude", Key: connectors.NewSecret(k.key), KeyID: k.kid, Scope: "system/*.read"}
		if err := c.open().Check(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		source, files := c.open(), 0
		for d, err := range source.Pull(t.Context(), c.cursor) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			r, err := d.Open(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			_ = r.Close()
			if files++; files == 2 {
				s.ForgetTokens()
			}
		}
		if files != 6 {
			t.Errorf("%s: %d deliveries", name, files)
		}
		c.config.Auth.ClientID = "somebody"
		if err := c.open().Check(t.Context()); code(err) != "fhir.token" || study.IsTemporary(err) {
			t.Errorf("%s, as somebody else: %v", name, err)
		}
	}
	small, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if sec1, err = x509.MarshalECPrivateKey(small); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"no key", "{}", "{", encode("EC PRIVATE KEY", sec1), encode("PRIVATE KEY", []byte("kestrel"))} {
		c := newClient(t, filled(), "bulk")
		c.config.Auth = fhir.Auth{Kind: "backend", ClientID: "longitude", Key: connectors.NewSecret(key), Scope: "system/*.read"}
		if err := c.open().Check(t.Context()); code(err) != "fhir.key" || strings.Contains(err.Error(), key) {
			t.Errorf("%.10s: %v", key, err)
		}
	}
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestBasic(t *testing.T) {
	s := filled()
	s.User, s.Password = "reader", "kestrel"
	c := newClient(t, s, "bulk")
	c.config.Auth.Kind, c.config.Auth.User, c.config.Auth.Password = "basic", "reader", connectors.NewSecret("kestrel")
	if n := len(c.all()); n != 4 {
		t.Errorf("%d files", n)
	}
	c.config.Auth.Password = connectors.NewSecret("other")
	if err := c.open().Check(t.Context()); code(err) != "web.unauthorized" {
		t.Error(err)
	}
}

func TestDiscover(t *testing.T) {
	s := filled()
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		s.Put(`{"resourceType":"Questionnaire","id":"` + id + `","item":[{"linkId":"1","type":"integer"}]}`)
	}
	c := newClient(t, s, "bulk")
	found, err := c.open().(connectors.Discoverer).Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range found {
		names = append(names, m.Name)
		if strings.Contains(string(m.Bytes), `"resourceType":"Observation"`) {
			t.Error("data of participants are read")
		}
	}
	if !slices.Equal(names, []string{"CapabilityStatement", "Questionnaire", "Questionnaire"}) {
		t.Errorf("%q", names)
	}
}

func TestValidate(t *testing.T) {
	for key, change := range map[string]func(*fhir.Config){
		"url":           func(c *fhir.Config) { c.URL = "https://ehr.example/fhir?x=1" },
		"mode":          func(c *fhir.Config) { c.Mode = "push" },
		"level":         func(c *fhir.Config) { c.Level = "group:" },
		"types":         func(c *fhir.Config) { c.Types = []string{"patient"} },
		"filters":       func(c *fhir.Config) { c.Filters = map[string]string{"Condition": "x=1"} },
		"page_size":     func(c *fhir.Config) { c.PageSize = 0 },
		"within":        func(c *fhir.Config) { c.Poll = 0 },
		"roster":        func(c *fhir.Config) { c.Roster = "group" },
		"errors":        func(c *fhir.Config) { c.Errors = "ignore" },
		"max_file":      func(c *fhir.Config) { c.MaxFile = 0 },
		"auth.kind":     func(c *fhir.Config) { c.Auth.Kind = "" },
		"auth.token":    func(c *fhir.Config) { c.Auth.Kind = "bearer" },
		"auth.password": func(c *fhir.Config) { c.Auth.Kind = "basic" },
		"auth.key":      func(c *fhir.Config) { c.Auth.Kind = "backend" },
		"web.attempts":  func(c *fhir.Config) { c.Web.Attempts = 0 },
	} {
		c := config("https://ehr.example/fhir", "bulk")
		if found := fhir.Spec().Validate(c); len(found) != 0 {
			t.Fatalf("findings %v", found)
		}
		change(c)
		if found := fhir.Spec().Validate(c); len(found) != 1 || found[0].Key != key || found[0].Hint == "" {
			t.Errorf("%s: findings %v", key, found)
		}
	}
}
