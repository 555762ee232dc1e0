package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Every key that a document may hold is on the page about configuration.
func TestEveryKeyIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, doc := range []any{serviceDoc{}, studyDoc{}, sourceDoc{}, rangeEnds{}} {
		collectKeys(reflect.TypeOf(doc), keys)
	}
	if len(keys) < 90 {
		t.Fatalf("only %d keys found", len(keys))
	}
	for key := range keys {
		if !strings.Contains(string(page), "`"+key+"`") && !strings.Contains(string(page), "`"+key+":") && !strings.Contains(string(page), "{"+key+":") &&
			!strings.Contains(string(page), ", "+key+":") && !strings.Contains(string(page), ", "+key+"}") && !strings.Contains(string(page), ", "+key+",") && !strings.Contains(string(page), "{"+key+",") {
			t.Errorf("docs/configuration.md does not mention %s", key)
		}
	}
}

func collectKeys(t reflect.Type, keys map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		collectKeys(t.Elem(), keys)
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range t.NumField() {
			f := t.Field(i)
			if key := f.Tag.Get("yaml"); key != "" {
				keys[key] = true
			}
			collectKeys(f.Type, keys)
		}
	}
}
