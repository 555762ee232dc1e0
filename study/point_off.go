//go:build !crash

package study

// Reached marks a named point of the commit order.
func Reached(string) {}
