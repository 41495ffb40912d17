//go:build unix

package runner

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a hook into its own process group and kills the whole group
// when its time is over.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
