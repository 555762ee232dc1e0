package localpg

import "syscall"

// diesWithParent has the kernel send SIGQUIT, an immediate shutdown, when the
// thread that forked the child goes. Committed work is in the write-ahead log.
func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
}
