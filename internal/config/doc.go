// Package config reads a config folder: YAML documents that hold the service, the
// studies and the sources. It is strict. Every key must be known, every secret a
// reference, every name defined; and every mistake of every file is reported at
// once, with file, line, column and what to do.
//
// A document is decoded into the plain structs of schema.go while the place of
// each value is kept by its path, so that a check far from the parser still
// points at the character that is wrong.
package config
