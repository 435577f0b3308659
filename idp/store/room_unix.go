//go:build unix

package store

import "syscall"

// room is how many bytes fit into the file system of a folder, for this process; -1: unknown.
func room(folder string) int64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return -1
	}
	return int64(s.Bavail) * int64(s.Bsize)
}
