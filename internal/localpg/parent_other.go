//go:build unix && !linux

package localpg

import "syscall"

// diesWithParent can promise nothing here: a server whose starter was killed
// stays, and the next Start connects to it.
func diesWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
