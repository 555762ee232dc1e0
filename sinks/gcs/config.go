package gcs

import (
	"regexp"
	"strings"

	"longitude/sinks"
	"longitude/study"
)

// Config is what the operator says about the bucket.
type Config struct {
	Location string `yaml:"location" doc:"bucket and prefix of the releases of all studies, gs://BUCKET/PREFIX; the prefix may be left out"`
}

const scheme = "gs://"

// Spec is the sink's entry in the list.
func Spec() sinks.Spec {
	spec := sinks.Define("gcs", "a bucket of Google Cloud Storage", validate, open)
	spec.Scheme, spec.Fetch = scheme, fetch
	return spec
}

// place is a bucket's name as Cloud Storage allows it, and a prefix of plain parts.
var place = regexp.MustCompile(`^gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[A-Za-z0-9][A-Za-z0-9._=-]*)*/?$`)

func validate(c Config) []sinks.Finding {
	if place.MatchString(c.Location) {
		return nil
	}
	return []sinks.Finding{{Key: "location", Message: "not of the form gs://BUCKET/PREFIX", Hint: "write it like gs://longitude-releases/eye"}}
}

func open(c Config, _ sinks.Runtime) (sinks.Sink, error) {
	if len(validate(c)) > 0 {
		return nil, &study.Error{Code: "sink.location", Op: "opening the sink gcs: the service document does not say where its bucket is", Exit: study.ExitUsage,
			Hint: "write sinks: {gcs: {location: gs://BUCKET/PREFIX}} under service"}
	}
	return &Sink{location: strings.TrimRight(c.Location, "/")}, nil
}
