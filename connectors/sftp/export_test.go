package sftp

import "time"

// Impatient shortens how long a silent server is waited for, until undo.
func Impatient(wait time.Duration) (undo func()) {
	before, alive := stall, keepalive
	stall, keepalive = wait, wait/3
	return func() { stall, keepalive = before, alive }
}
