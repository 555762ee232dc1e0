package gcs

import (
	"regexp"

	"longitude/connectors"
)

// Config is what the operator says about a bucket.
type Config struct {
	Bucket string            `yaml:"bucket" doc:"name of the bucket"`
	Path   string            `yaml:"path" doc:"prefix and object pattern, like outgoing/*.csv"`
	Ready  connectors.Ready  `yaml:"ready"`
	After  string            `yaml:"after" doc:"what happens to an object once its records are durable: keep, delete, or archive:PREFIX in the same bucket"`
	Unpack connectors.Unpack `yaml:"unpack"`
}

// Spec is the entry of this connector in the list.
func Spec() connectors.Spec {
	return connectors.Define("gcs", "objects in a bucket of Google Cloud Storage",
		func() Config { return Config{After: connectors.AfterKeep} }, validate, open)
}

// bucketName is what Cloud Storage allows.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)

func validate(c Config) []connectors.Finding {
	found := connectors.CheckPickup(c.Path, c.Ready, c.After, c.Unpack)
	if !bucketName.MatchString(c.Bucket) {
		found = append(found, connectors.Finding{Key: "bucket", Message: "not a name of a bucket", Hint: "write the name alone, without gs:// and without a path"})
	}
	if len(c.Path) > 0 && c.Path[0] == '/' {
		found = append(found, connectors.Finding{Key: "path", Message: "begins with a slash", Hint: "names of objects begin without one: outgoing/*.csv"})
	}
	return found
}
