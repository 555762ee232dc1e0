package study

import (
	"errors"
	"time"
)

// Error is an error an operator can act on. It never contains a participant's
// data or a secret: a bad value is a Rejection, not an error.
type Error struct {
	Code       string // stable, dotted: "sftp.host_key_changed"
	Op         string // what was being done, and to what
	Hint       string // what to do next
	Place      string // file:line:column, or object and line; "" when none
	Temporary  bool   // may be retried
	Exit       int    // exit code of the command line; 0 means 1 (failed)
	RetryAfter time.Duration
	Err        error // never a value-parsing error
}

// Exit codes of the command line.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitEnvironment = 3
	ExitRejections  = 4
	ExitBlocked     = 5
)

func (e *Error) Error() string {
	s := e.Op
	if e.Place != "" {
		s = e.Place + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + " [" + e.Code + "]"
}

func (e *Error) Unwrap() error { return e.Err }

// IsTemporary reports whether err, or an error it wraps, may be retried.
func IsTemporary(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Temporary
}
