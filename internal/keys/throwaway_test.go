package keys

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"longitude/deid"
)

// Throw-away keys are consistent within one making and shared with no other.
func TestThrowaway(t *testing.T) {
	derived := func(k deid.Keys, studyName string) []byte {
		key, err := k.Derive(studyName, deid.PurposeParticipant, "d")
		if err != nil {
			t.Fatal(err)
		}
		return key.Bytes()
	}
	a, b := Throwaway(), Throwaway()
	if !bytes.Equal(derived(a, "s"), derived(a, "s")) {
		t.Error("the same keys give two different keys for one purpose")
	}
	if bytes.Equal(derived(a, "s"), derived(b, "s")) || bytes.Equal(derived(a, "s"), derived(a, "t")) {
		t.Error("a key is shared between makings or studies")
	}
	for verb := range strings.FieldsSeq("%v %+v %#v %s %d %x %q") {
		if text := fmt.Sprintf(verb, a); text != "[keys]" {
			t.Errorf("%s prints %q", verb, text)
		}
	}
}
