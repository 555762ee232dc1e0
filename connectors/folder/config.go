package folder

import "longitude/connectors"

// Config is what the operator says about a folder.
type Config struct {
	Path   string            `yaml:"path" doc:"folder and file pattern, like /data/*.csv; a relative path starts at the folder of the configuration"`
	Ready  connectors.Ready  `yaml:"ready"`
	After  string            `yaml:"after" doc:"what happens to a file once its records are durable: keep, delete, or archive:FOLDER on the same file system"`
	Unpack connectors.Unpack `yaml:"unpack"`
}

// Spec is the entry of this connector in the list.
func Spec() connectors.Spec {
	return connectors.Define("folder", "files in a folder of this machine",
		func() Config { return Config{After: connectors.AfterKeep} },
		func(c Config) []connectors.Finding { return connectors.CheckPickup(c.Path, c.Ready, c.After, c.Unpack) },
		open)
}
