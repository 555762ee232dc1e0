//go:build !linux

package sshd

import "syscall"

// diesWithParent leaves it to sshd, which ends when its connection does.
func diesWithParent() *syscall.SysProcAttr { return nil }
