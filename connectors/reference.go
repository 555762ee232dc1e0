package connectors

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference is the Markdown table of a connector's config keys: generated from
// the struct's tags yaml and doc, and from the defaults, so that it cannot drift.
func (s Spec) Reference() string {
	var b strings.Builder
	b.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	writeKeys(&b, "", reflect.ValueOf(s.Config()).Elem())
	return b.String()
}

func writeKeys(b *strings.Builder, prefix string, config reflect.Value) {
	for i := range config.NumField() {
		field, value := config.Type().Field(i), config.Field(i)
		key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if _, secret := value.Interface().(Secret); value.Kind() == reflect.Struct && !secret {
			writeKeys(b, prefix+key+".", value)
			continue
		}
		if value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct && value.Type().Elem() != reflect.TypeFor[Secret]() {
			defer writeKeys(b, prefix+key+"[].", reflect.New(value.Type().Elem()).Elem()) // behind the keys of this level
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", prefix, key, typeName(value), defaultOf(field, value), field.Tag.Get("doc"))
	}
}

func typeName(v reflect.Value) string {
	switch v.Type().String() {
	case "connectors.Secret":
		return "secret"
	case "time.Duration":
		return "duration"
	}
	switch v.Kind() {
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "list"
	case reflect.Pointer:
		return v.Type().Elem().String()
	}
	return v.Kind().String()
}

// defaultOf is the value the config starts with, or the tag default where a key
// left out means something that no value says.
func defaultOf(field reflect.StructField, v reflect.Value) string {
	if told := field.Tag.Get("default"); told != "" {
		return told
	}
	if v.IsZero() {
		return ""
	}
	return fmt.Sprintf("`%v`", v.Interface())
}
