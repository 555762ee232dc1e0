package local

import (
	"path/filepath"

	"longitude/sinks"
	"longitude/study"
)

// Config says where releases go.
type Config struct {
	Root string // folder of all studies' releases; made when it is not there
}

// Spec is the sink's entry in the list: releases go to data_dir/releases. It has no
// keys of its own.
func Spec() sinks.Spec {
	return sinks.Define("local", "a folder on this machine",
		func(struct{}) []sinks.Finding { return nil },
		func(_ struct{}, rt sinks.Runtime) (sinks.Sink, error) {
			return New(Config{Root: filepath.Join(rt.DataDir, "releases")})
		})
}

// New makes a sink. It touches nothing yet.
func New(c Config) (*Sink, error) {
	root, err := filepath.Abs(c.Root)
	if err != nil || c.Root == "" {
		return nil, &study.Error{Code: "sink.root", Op: "opening the local sink: it has no usable folder", Exit: study.ExitUsage,
			Hint: "set data_dir in the service document"}
	}
	return &Sink{root: root, create: createFile}, nil
}
