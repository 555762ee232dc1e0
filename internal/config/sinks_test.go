package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cloud is the config of a sink that has to be told where it is.
type cloud struct {
	Location string `yaml:"location"`
}

// TestSinks: what the service says of sinks is read as strictly as all else, and a
// study whose releases go where nobody says is told of it where it says so.
func TestSinks(t *testing.T) {
	for name, c := range map[string]struct {
		service, to string
		findings    []string // file:line:column, code and what the hint holds
	}{
		"no word is needed for a folder": {"", "[local]", nil},
		"configured":                     {"  sinks: {gcs: {location: gs://bucket}}", "[gcs, local]", nil},
		"configured and not used":        {"  sinks: {gcs: {location: gs://bucket}}", "[local]", nil},
		"not configured":                 {"", "[local, gcs]", []string{"study.yaml:3:24 config.sink add to the service document: sinks: {gcs: {location: …}}"}},
		"a value that is none":           {"  sinks:\n    gcs:\n      location: \"\"", "[gcs]", []string{"service.yaml:5:17 config.sink write it like gs://bucket"}},
		"a key left out":                 {"  sinks: {gcs: {}}", "[gcs]", []string{"service.yaml:3:16 config.sink write it like gs://bucket"}},
		"a key mistyped":                 {"  sinks: {gcs: {locaton: gs://bucket, location: gs://bucket}}", "[gcs]", []string{"service.yaml:3:17 config.unknown_key did you mean \"location\"?"}},
		"a key of a sink without any":    {"  sinks: {local: {root: /srv}}", "[local]", []string{"service.yaml:3:19 config.unknown_key "}},
		"a sink mistyped":                {"  sinks: {gsc: {location: gs://bucket}}", "[local]", []string{"service.yaml:3:16 config.unknown_value did you mean \"gcs\"?"}},
		"a sink mistyped in the study":   {"", "[gcp]", []string{"study.yaml:3:17 config.unknown_value did you mean \"gcs\"?"}},
		"no mapping":                     {"  sinks: {gcs: gs://bucket}", "[local]", []string{"service.yaml:3:16 config.wrong_type "}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{
				"service.yaml": "service:\n  data_dir: data\n" + c.service + "\n",
				"study.yaml":   "study: amd\ntimezone: Europe/London\nreleases: {to: " + c.to + "}\nenrolment: first_seen\nconsent: external\nforms: {va: {fields: [{name: x, type: integer, class: clinical}]}}\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var found []string
			cfg, findings := Load(dir, options(nil))
			for _, f := range findings {
				place, _, _ := strings.Cut(f.String(), ": ")
				if f.Severity == Error {
					found = append(found, filepath.Base(place)+" "+f.Code+" "+f.Hint)
				}
			}
			slices.Sort(found)
			slices.Sort(c.findings)
			if !slices.Equal(found, c.findings) {
				t.Errorf("found %q, want %q", found, c.findings)
			}
			if configured, ok := cfg.Service.Sinks["gcs"].(*cloud); strings.Contains(name, "configured and") && (!ok || configured.Location != "gs://bucket") {
				t.Errorf("the sink is configured with %v", cfg.Service.Sinks["gcs"])
			}
		})
	}
}
