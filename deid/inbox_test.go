package deid

import (
	"bytes"
	"crypto/rand"
	"testing"

	"longitude/study"
)

func TestInboxOpensForItsSourceAndRequestOnly(t *testing.T) {
	keys := testKeys("k")
	inbox := func(studyName, source string) *Inbox {
		b, err := NewInbox(studyName, source, keys, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one := inbox("amd", "edc")
	key, content := study.Digest{1}, []byte(`{"participant":"1001"}`)
	box := one.Seal(key, content)
	if bytes.Contains(box, []byte("1001")) {
		t.Fatal("the content is not sealed")
	}
	if opened, err := one.Open(key, box); err != nil || !bytes.Equal(opened, content) {
		t.Errorf("opened %q, %v", opened, err)
	}
	box2 := bytes.Clone(box)
	box2[len(box2)/2] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another request": func() ([]byte, error) { return one.Open(study.Digest{2}, box) },
		"another source":  func() ([]byte, error) { return inbox("amd", "lab").Open(key, box) },
		"another study":   func() ([]byte, error) { return inbox("other", "edc").Open(key, box) },
		"a changed byte":  func() ([]byte, error) { return one.Open(key, box2) },
		"nothing":         func() ([]byte, error) { return one.Open(key, nil) },
	} {
		if opened, err := open(); err == nil {
			t.Errorf("%s opens as %q", name, opened)
		}
	}
	same := one.Digest("id", []byte("a"))
	for name, d := range map[string]study.Digest{
		"another id": one.Digest("id", []byte("b")), "a body": one.Digest("body", []byte("a")),
		"another source": inbox("amd", "lab").Digest("id", []byte("a")), "another study": inbox("other", "edc").Digest("id", []byte("a")),
	} {
		if d == same {
			t.Errorf("%s has the same digest", name)
		}
	}
	if inbox("amd", "edc").Digest("id", []byte("a")) != same {
		t.Error("the digest is not stable")
	}
}
