//go:build race && unix

package main

// The race detector makes everything ten times slower.
func init() { *canaryParticipants = 100 }
