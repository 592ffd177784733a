package pglocal

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// unprivileged makes cmd run in a process group of its own, so that Ctrl-C
// reaches only us and we stop it in order; as root also under a user that
// PostgreSQL accepts, because it refuses to run as root.
func unprivileged(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := servant()
	if err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	cmd.Env = append(os.Environ(), "HOME=/tmp")
	return nil
}

// Unprivileged prepares a command that must read or write a cluster's folder,
// such as pg_basebackup.
func Unprivileged(cmd *exec.Cmd) error { return unprivileged(cmd) }

// GiveAway makes paths belong to the user that root runs servers as, so that
// an Unprivileged command can write there. For anybody but root it does nothing.
func GiveAway(paths ...string) error { return giveAway(paths...) }

// giveAway makes paths belong to the user that runs the server.
func giveAway(paths ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := servant()
	if err != nil {
		return err
	}
	for _, p := range paths {
		if err := os.Chown(p, int(uid), int(gid)); err != nil {
			return err
		}
	}
	return nil
}

// servant is the user that root runs servers as.
func servant() (uid, gid uint32, err error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		id, err1 := strconv.ParseUint(u.Uid, 10, 32)
		group, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && id != 0 {
			return uint32(id), uint32(group), nil
		}
	}
	return 0, 0, fmt.Errorf("PostgreSQL refuses to run as root and this machine has neither a user postgres nor nobody")
}
