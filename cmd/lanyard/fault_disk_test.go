package main_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// tmpfs mounts a small disk, which takes root.
func tmpfs(t *testing.T, dir, size string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a small disk is mounted by root only")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size+",mode=0711", "none", dir).CombinedOutput(); err != nil {
		t.Skipf("a small disk cannot be mounted: %s", strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
}

// ballast fills a disk to the last byte.
func ballast(t *testing.T, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil && !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		t.Fatal(err)
	}
	defer f.Close()
	for _, n := range []int{1 << 20, 4096, 1} {
		for b := make([]byte, n); ; {
			if _, err := f.Write(b); err != nil {
				break
			}
		}
	}
}

// full fills the disk under a house that is used, waits, makes room again, and holds the house to what it must do.
func full(t *testing.T, o *org, v *victim, c *crowd, file string) {
	t.Helper()
	var unready, back time.Duration
	var tally map[int]int
	c.during(t, func() {
		time.Sleep(1500 * time.Millisecond)
		began := time.Now()
		ballast(t, file)
		for { // what the database frees is filled too
			ballast(t, file)
			if status, _ := v.readiness(); status == http.StatusServiceUnavailable {
				break
			}
			if time.Since(began) > 10*time.Second {
				t.Errorf("the disk is full, and /readyz says yes")
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		unready = time.Since(began)
		time.Sleep(500 * time.Millisecond)
		c.reset()
		for range 20 {
			ballast(t, file)
			time.Sleep(100 * time.Millisecond)
		}
		tally, _ = c.reset()
		if tally[503] == 0 || tally[0]+tally[500] > 0 {
			t.Errorf("on a full disk: %v", tally)
		}
		for _, path := range append([]string{"/healthz"}, published...) {
			if res, err := probes.Get("http://" + v.addr + path); err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("on a full disk: %s: %v %v", path, res, err)
			} else {
				res.Body.Close()
			}
		}
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
		back = v.until(http.StatusOK, 10*time.Second)
		time.Sleep(500 * time.Millisecond)
		c.reset()
		time.Sleep(time.Second)
	})
	if tally, _ := c.reset(); tally[0]+tally[503] > 0 || tally[200] == 0 {
		t.Errorf("half a second after there is room: %v", tally)
	}
	n := c.verify(0)
	t.Logf("full: unready after %s, answers %v; room: ready after %s; compared: %s", unready.Round(10*time.Millisecond), tally, back.Round(10*time.Millisecond), n)
}

// The disk is full: whoever wants something written is told 503, /readyz says so, what is only read is still told, nothing that was
// acknowledged is lost, and when there is room all is well again by itself.
func TestFaultDiskFull(t *testing.T) {
	t.Parallel()
	t.Run(storetest.SQLite, func(t *testing.T) {
		file := binary(t)
		o := newOrg(t, storetest.SQLite)
		disk := filepath.Join(o.dir, "data")
		tmpfs(t, disk, "16m")
		faultOrg(o, file)
		v := o.spawn(file, "")
		c := newCrowd(o, file, func() string { return v.addr })
		full(t, o, v, c, filepath.Join(disk, "ballast"))
		// And over a start, on a full disk too: it says what is wrong, or serves what needs no writing.
		ballast(t, filepath.Join(disk, "ballast"))
		v.kill()
		if w, err := o.trySpawn(file, v.addr); err != nil && !strings.Contains(w.log.String(), "full") {
			t.Errorf("a start on a full disk: %v\n%s", err, w.log)
		} else {
			t.Logf("a start on a full disk: %v %s", err, w.log.tail())
			w.kill()
		}
		if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
			t.Fatal(err)
		}
		v = o.spawn(file, v.addr)
		c.http.CloseIdleConnections()
		c.verify(0)
		o.sound(t)
		v.end()
	})
	t.Run(storetest.Postgres, func(t *testing.T) {
		dir := shared(t)
		tmpfs(t, dir, "100m")
		pg := newPostgres(t, dir, "restart_after_crash = on")
		file := binary(t)
		o := newOrg(t, storetest.SQLite).on(pg.dsn(pg.port))
		faultOrg(o, file)
		v := o.spawn(file, "")
		c := newCrowd(o, file, func() string { return v.addr })
		enough, done := make(chan struct{}), make(chan struct{})
		go func() { // PostgreSQL ends itself when its log cannot be written; somebody starts it again until it stays
			defer close(done)
			for {
				select {
				case <-enough:
					return
				case <-time.After(100 * time.Millisecond):
				}
				if _, err := os.Stat(pg.data() + "/postmaster.pid"); err != nil {
					_ = pg.tryStart()
				}
			}
		}()
		full(t, o, v, c, filepath.Join(dir, "ballast"))
		close(enough)
		<-done
		v.end()
	})
}
