package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
)

// A scheme is how a sender proves who it is. Which one counts is configured: it is
// never guessed from a request, and what a request lacks is never made up for by
// another scheme.
type scheme struct {
	// key reads a secret as configured; ok is false for one that is no secret.
	key func(text string) (key []byte, ok bool)
	// prove answers what the request proves under one of the keys.
	prove func(c *Config, r *request, keys [][]byte) proof
	// unnamed says that requests have no id of their own.
	unnamed bool
}

// request is what a proof is about.
type request struct {
	header http.Header
	secret string // of the path
	body   []byte
}

// proof is what a request proves.
type proof struct {
	ok bool
	id string // the sender's name for it; "" = none
	at string // when it was signed, in seconds since 1970; "" where no time is signed
}

var schemes = map[string]scheme{
	"standard": {key: standardKey, prove: standard("Webhook-")},
	"svix":     {key: standardKey, prove: standard("Svix-")},
	"stripe":   {key: literalKey, prove: stripe},
	"github":   {key: literalKey, prove: github},
	"token":    {key: tokenKey, prove: token, unnamed: true},
	"basic":    {key: tokenKey, prove: basic, unnamed: true},
	"path":     {key: tokenKey, prove: path, unnamed: true},
}

// one is the value of a header that must be there once: of two, a proxy and we
// could each believe another.
func one(h http.Header, name string) (string, bool) {
	values := h[name]
	if len(values) != 1 || values[0] == "" {
		return "", false
	}
	return values[0], true
}

const publicKey = "whpk_"

// standardKey reads whsec_ (or nothing) and 24 to 64 bytes in base64, as Standard
// Webhooks has it, or whpk_ and an Ed25519 public key.
func standardKey(text string) ([]byte, bool) {
	encoded, public := strings.CutPrefix(text, publicKey)
	if !public {
		encoded = strings.TrimPrefix(text, "whsec_")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil:
		return nil, false
	case public:
		return append([]byte(publicKey), key...), len(key) == ed25519.PublicKeySize
	}
	return key, len(key) >= 24 && len(key) <= 64
}

// standard is Standard Webhooks, whose headers begin with prefix.
func standard(prefix string) func(*Config, *request, [][]byte) proof {
	return func(_ *Config, r *request, keys [][]byte) proof {
		id, named := one(r.header, prefix+"Id")
		at, timed := one(r.header, prefix+"Timestamp")
		signatures, signed := one(r.header, prefix+"Signature")
		// A full stop in the id would let what follows be read in two ways.
		whole := named && timed && signed && !strings.Contains(id, ".") && !strings.Contains(at, ".")
		message := append([]byte(id+"."+at+"."), r.body...)
		var good bool
		for _, key := range keys {
			good = standardSigned(key, message, signatures) || good
		}
		return proof{ok: whole && good, id: id, at: at}
	}
}

// standardSigned reports whether one of the signatures, with a space between them,
// is of the message. Versions other than v1 and v1a are passed over.
func standardSigned(key, message []byte, signatures string) (good bool) {
	public := []byte(nil)
	if text, ok := strings.CutPrefix(string(key), publicKey); ok {
		public = []byte(text)
	}
	want := mac(key, message)
	for part := range strings.SplitSeq(signatures, " ") {
		version, encoded, _ := strings.Cut(part, ",")
		given, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			continue
		}
		switch version {
		case "v1":
			good = public == nil && hmac.Equal(given, want) || good
		case "v1a":
			good = public != nil && ed25519.Verify(public, message, given) || good
		}
	}
	return good
}

// literalKey is a secret whose text is the key.
func literalKey(text string) ([]byte, bool) { return []byte(text), len(text) >= 16 }

// stripe is the scheme of Stripe: a time and signatures in hex in one header.
func stripe(_ *Config, r *request, keys [][]byte) proof {
	line, signed := one(r.header, "Stripe-Signature")
	var at string
	var given [][]byte
	times := 0
	for part := range strings.SplitSeq(line, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			at = value
			times++
		case "v1":
			if signature, err := hex.DecodeString(value); err == nil {
				given = append(given, signature)
			}
		}
	}
	message := append([]byte(at+"."), r.body...)
	return proof{ok: anyMAC(keys, message, given) && signed && times == 1 && at != "", at: at}
}

// github is the scheme of GitHub. Nothing but the body is signed: neither a time
// nor the id of the delivery.
func github(_ *Config, r *request, keys [][]byte) proof {
	line, signed := one(r.header, "X-Hub-Signature-256")
	encoded, ok := strings.CutPrefix(line, "sha256=")
	given, err := hex.DecodeString(encoded)
	id, named := one(r.header, "X-Github-Delivery")
	return proof{ok: anyMAC(keys, r.body, [][]byte{given}) && signed && ok && err == nil && named, id: id}
}

func mac(key, message []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(message)
	return m.Sum(nil)
}

// anyMAC reports whether one of the given is the MAC of the message under a key. It
// computes all of them whatever it is given.
func anyMAC(keys [][]byte, message []byte, given [][]byte) (good bool) {
	for _, key := range keys {
		want := mac(key, message)
		for _, g := range given {
			good = hmac.Equal(g, want) || good
		}
	}
	return good
}

// tokenKey is a secret that is itself sent.
func tokenKey(text string) ([]byte, bool) { return []byte(text), len(text) >= 16 }

func token(c *Config, r *request, keys [][]byte) proof {
	name, prefix := c.tokenHeader()
	value, there := one(r.header, name)
	shown, ok := strings.CutPrefix(value, prefix)
	return proof{ok: anySame(keys, shown) && there && ok, id: c.named(r)}
}

func basic(c *Config, r *request, keys [][]byte) proof {
	_, once := one(r.header, "Authorization")
	user, password, ok := (&http.Request{Header: r.header}).BasicAuth()
	return proof{ok: anySame(keys, password) && same([]byte(c.User), user) && once && ok, id: c.named(r)}
}

func path(c *Config, r *request, keys [][]byte) proof {
	return proof{ok: anySame(keys, r.secret), id: c.named(r)}
}

// named is the id in the configured header.
func (c *Config) named(r *request) string {
	if c.IDHeader == "" {
		return ""
	}
	id, _ := one(r.header, http.CanonicalHeaderKey(c.IDHeader))
	return id
}

func anySame(keys [][]byte, shown string) (good bool) {
	for _, key := range keys {
		good = same(key, shown) || good
	}
	return good
}

// same compares digests, so that neither content nor length can be timed.
func same(want []byte, shown string) bool {
	a, b := sha256.Sum256(want), sha256.Sum256([]byte(shown))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// seconds reads a time as schemes sign it.
func seconds(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}
