package deid

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"longitude/study"
)

// testKeys derives keys from a word, as internal/keys does from a root key.
type testKeys string

func (k testKeys) Derive(studyName, purpose, domain string) (Key, error) {
	if k == "" {
		return Key{}, errors.New("no key")
	}
	m := hmac.New(sha256.New, []byte(k))
	m.Write(Frame(studyName, purpose, domain))
	return NewKey([32]byte(m.Sum(nil))), nil
}

func (k testKeys) DeriveVersion(studyName, purpose, domain string, version int) (Key, error) {
	if version == 1 {
		return k.Derive(studyName, purpose, domain)
	}
	return k.Derive(studyName, purpose, fmt.Sprintf("%s version %d", domain, version))
}

func (testKeys) Newest(string) (int, error) { return 1, nil }

// seeded is a deterministic source of nonces.
func seeded(n byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{n}) }

// code is the stable code of err, "" when there is none.
func code(err error) string {
	var e *study.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func exit(err error) int {
	var e *study.Error
	errors.As(err, &e)
	return e.Exit
}

func TestKeyPrintsRedacted(t *testing.T) {
	secret := [32]byte(bytes.Repeat([]byte{0xAB}, 32))
	key := NewKey(secret)
	type holder struct {
		Public Key
		hidden Key
	}
	var shown []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		direct := fmt.Sprintf(verb, key)
		if direct != "[redacted]" {
			t.Errorf("%s prints %q", verb, direct)
		}
		shown = append(shown, fmt.Sprintf(verb, holder{key, key}), fmt.Sprintf(verb, &holder{key, key}), fmt.Sprintf(verb, []Key{key}))
	}
	asJSON, err := json.Marshal(map[string]any{"key": key, "holder": holder{key, key}})
	if err != nil {
		t.Fatal(err)
	}
	shown = append(shown, string(asJSON))
	timeless := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{} // its digits are chance, and some of them look like the key's
		}
		return a
	}}
	for _, handler := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, timeless) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, timeless) },
	} {
		var log bytes.Buffer
		slog.New(handler(&log)).Info("m", "key", key, "holder", holder{key, key})
		shown = append(shown, log.String())
	}
	for _, s := range shown {
		for _, leak := range []string{"171 171", "ababab", "ABABAB", "q6urq6", "0xab, 0xab", "««"} {
			if strings.Contains(s, leak) {
				t.Errorf("%q tells the key (%s)", s, leak)
			}
		}
	}
	if !bytes.Equal(key.Bytes(), secret[:]) || (Key{}).Bytes() != nil {
		t.Error("Bytes does not give the material")
	}
}

func TestFrameIsUnambiguous(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]string{}
	letters := []string{"", "a", "b", "ab", "ba", "\x00\x00\x00\x01", "abc"}
	for range 20_000 {
		parts := make([]string, 1+r.IntN(4))
		for i := range parts {
			parts[i] = letters[r.IntN(len(letters))]
		}
		list := strconv.Itoa(len(parts)) + strings.Join(parts, "|")
		framed := string(Frame(parts...))
		if other, ok := seen[framed]; ok && other != list {
			t.Fatalf("%q and %q give the same bytes", other, list)
		}
		seen[framed] = list
	}
}
