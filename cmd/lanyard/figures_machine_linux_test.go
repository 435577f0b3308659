package main_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// What the figures need of the operating system: who runs on which core, and how long somebody ran.

// clock reads one of the kernel's clocks (clock_gettime(2)).
func clock(id int) time.Duration {
	var t syscall.Timespec
	if _, _, e := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(uint32(int32(id))), uintptr(unsafe.Pointer(&t)), 0); e != 0 {
		panic(e)
	}
	return time.Duration(t.Nano())
}

// cpuTime is what a process has run so far, all its threads together, to the nanosecond.
func cpuTime(pid int) time.Duration { return clock(^pid<<3 | 2) } // CPUCLOCK_SCHED of that process

const threadClock = 3 // CLOCK_THREAD_CPUTIME_ID

// pin keeps a thread on one core; 0 is the calling thread. Threads and processes that it makes stay there too.
func pin(thread, core int) {
	var set [16]uint64
	set[core/64] = 1 << (core % 64)
	if _, _, e := syscall.Syscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(thread), unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set))); e != 0 {
		panic(fmt.Sprintf("sched_setaffinity: %v", e))
	}
}

// pinAll keeps every thread of this process, and those it will make, on one core.
func pinAll(core int) {
	for _, t := range must(os.ReadDir("/proc/self/task")) {
		pin(must(strconv.Atoi(t.Name())), core)
	}
}

const anyCore = -1

// on runs f on a core, in a thread of its own that ends with it.
func on(core int, f func()) {
	if core == anyCore {
		f()
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // and never unlocked: the thread, and where it is pinned, ends with the goroutine
		pin(0, core)
		f()
	})
	wg.Wait()
}

// unit makes raw signatures, in which costs are counted.
type unit struct{ key *rsa.PrivateKey }

func newUnit() unit { return unit{must(rsa.GenerateKey(rand.Reader, 2048))} }

// cost is the CPU time of one raw signature on a core now.
func (u unit) cost(core, n int) (d time.Duration) {
	on(core, func() {
		sum := sha256.Sum256([]byte("x"))
		sign := func(n int) {
			for range n {
				must(rsa.SignPKCS1v15(nil, u.key, crypto.SHA256, sum[:]))
			}
		}
		sign(5)
		began := clock(threadClock)
		sign(n)
		d = (clock(threadClock) - began) / time.Duration(n)
	})
	return d
}

// memory reads lines like VmRSS of a process, in bytes.
func memory(pid int, line string) int64 {
	for l := range strings.Lines(string(must(os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))))) {
		if rest, ok := strings.CutPrefix(l, line+":"); ok {
			return must(strconv.ParseInt(strings.Fields(rest)[0], 10, 64)) << 10
		}
	}
	panic("no " + line)
}

// machine says in a few lines where the figures were taken.
func machine(tb testing.TB, dir string) []string {
	tb.Helper()
	model := "unknown processor"
	for l := range strings.Lines(string(must(os.ReadFile("/proc/cpuinfo")))) {
		if name, v, _ := strings.Cut(l, ":"); strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(v)
			break
		}
	}
	kernel := strings.TrimSpace(string(must(os.ReadFile("/proc/sys/kernel/osrelease"))))
	return []string{
		fmt.Sprintf("%s, %d cores, %d GiB of memory; Linux %s", model, runtime.NumCPU(), memoryTotal()>>30, kernel),
		fmt.Sprintf("data on %s; %s %s/%s", disk(tb, dir), runtime.Version(), runtime.GOOS, runtime.GOARCH),
	}
}

func memoryTotal() int64 {
	var i syscall.Sysinfo_t
	if err := syscall.Sysinfo(&i); err != nil {
		panic(err)
	}
	return int64(i.Totalram) * int64(i.Unit)
}

// disk names the device and the file system that dir lies on. Memory is no disk.
func disk(tb testing.TB, dir string) string {
	tb.Helper()
	dir = must(filepath.EvalSymlinks(must(filepath.Abs(dir))))
	best, found := "", ""
	for l := range strings.Lines(string(must(os.ReadFile("/proc/self/mounts")))) {
		f := strings.Fields(l)
		if at := f[1]; (dir == at || at == "/" || strings.HasPrefix(dir, at+"/")) && len(at) >= len(best) {
			best, found = at, f[0]+" ("+f[2]+")"
			if f[2] == "tmpfs" || f[2] == "ramfs" {
				tb.Fatalf("%s lies in memory (%s): name a folder on a disk in LANYARD_FIGURES_DIR", dir, f[2])
			}
		}
	}
	return found
}
