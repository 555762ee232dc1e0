package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"longitude/study"
)

// ownKeys are the keys of a mapping that is decoded once it is known whose they are.
type ownKeys []entry

func (k *ownKeys) decode(d *document, path string, n ast.Node) { *k = d.entries(path, n) }

// own decodes a connector's or a sink's own keys into its config struct. What it says
// itself of a value is left out where the value could not be read.
func (d *document) own(path, code string, keys []entry, spec OwnKeys) any {
	before := len(d.findings)
	config := spec.New()
	d.fields(path, keys, reflect.ValueOf(config).Elem())
	for _, f := range spec.Validate(config) {
		key := path + "." + f.Key
		if at := d.place(key); !slices.ContainsFunc(d.findings[before:], func(o Finding) bool { return d.has(key) && o.Line == at.line && o.Column == at.column }) {
			d.errorf(key, code, f.Hint, "%s: %s", f.Key, f.Message)
		}
	}
	return config
}

// sinks decodes what the service says of the places where releases go.
func (d *document) sinks(doc pairs[ownKeys]) map[string]any {
	if d.opt.Sinks == nil {
		return nil
	}
	out := map[string]any{}
	for _, p := range doc {
		path := "service.sinks." + p.Key
		spec, known := d.opt.Sinks[p.Key]
		if !known {
			d.errorf(path, "config.unknown_value", didYouMean(p.Key, slices.Sorted(maps.Keys(d.opt.Sinks))), "there is no sink %q", p.Key)
			continue
		}
		if out[p.Key] = spec.New(); !d.failed(path) {
			out[p.Key] = d.own(path, "config.sink", p.Value, spec)
		}
	}
	return out
}

// places checks that the service says where every place is to which releases of a
// study go. A sink that its defaults are enough for needs no word.
func (c *Config) places(d *document, s *study.Study) {
	for i, to := range s.Releases.To {
		spec, known := d.opt.Sinks[to]
		if _, configured := c.Service.Sinks[to]; !known || configured {
			continue
		}
		if missing := spec.Validate(spec.New()); len(missing) > 0 {
			d.errorf(fmt.Sprintf("releases.to[%d]", i), "config.sink", fmt.Sprintf("add to the service document: sinks: {%s: {%s: …}}", to, missing[0].Key),
				"releases go to %s, and the service does not say where that is", to)
		}
	}
}
