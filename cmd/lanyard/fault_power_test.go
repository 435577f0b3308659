package main_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// forgetful is a disk that forgets: what was synced is on it, and of what was written since, the power may leave any of it.
type forgetful map[string]*onDisk

type onDisk struct {
	synced []byte
	since  []change
}

// change is bytes at an offset or, without any, the file's end there.
type change struct {
	at   int64
	data []byte
}

func (f *onDisk) change(c change) {
	end := c.at + int64(len(c.data))
	if more := end - int64(len(f.synced)); more > 0 {
		f.synced = append(f.synced, make([]byte, more)...)
	}
	if c.data == nil {
		f.synced = f.synced[:c.at]
	}
	copy(f.synced[c.at:end], c.data)
}

const sector = 512

// without is the disk when the power comes back. survives is asked for each sector that was not synced.
func (d forgetful) without(power string, survives func() bool) error {
	for name, f := range d {
		now := &onDisk{synced: slices.Clone(f.synced)}
		for _, c := range f.since {
			if c.data == nil && survives() {
				now.change(c)
			}
			for at := 0; at < len(c.data); at += sector {
				if survives() {
					now.change(change{c.at + int64(at), c.data[at:min(at+sector, len(c.data))]})
				}
			}
		}
		if err := os.WriteFile(filepath.Join(power, name), now.synced, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// does has the disk live through what strace has seen a server do, and calls before with whatever is about to be sent to
// somebody, and with nothing before a change of a file.
func (d forgetful) does(trace string, before func(sent string)) error {
	f, err := os.Open(trace)
	if err != nil {
		return err
	}
	defer f.Close()
	syncing := map[string]func(){} // by thread
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		thread, rest, _ := strings.Cut(lines.Text(), " ")
		if rest = strings.TrimLeft(rest, " "); strings.HasPrefix(rest, "<... ") {
			if end := syncing[thread]; end != nil && strings.HasSuffix(rest, "= 0") {
				end()
			}
			delete(syncing, thread)
			continue
		}
		call, rest, _ := strings.Cut(rest, "(")
		_, rest, _ = strings.Cut(rest, "<")
		path, rest, ok := strings.Cut(rest, ">")
		if strings.HasPrefix(call, "unlink") && strings.Contains(lines.Text(), strings.Trim(escaped("lanyard.db"), `\`)) {
			return fmt.Errorf("a file of the database is taken away: %s", lines.Text())
		}
		if !ok {
			continue
		}
		var data []byte
		if text, found := strings.CutPrefix(rest, `, "`); found {
			if text, rest, _ = strings.Cut(text, `"`); strings.HasPrefix(rest, "...") {
				return fmt.Errorf("not traced to its end: %.200s", lines.Text())
			}
			if data, err = hex.DecodeString(strings.ReplaceAll(text, `\x`, "")); err != nil {
				return err
			}
		}
		rest, result, done := strings.Cut(rest, ")")
		rest, _, _ = strings.Cut(rest, " <")
		last, err := strconv.ParseInt(strings.TrimSpace(rest[strings.LastIndex(rest, ",")+1:]), 10, 64)
		where, failed := hex.DecodeString(strings.ReplaceAll(path, `\x`, ""))
		if failed != nil {
			return failed
		}
		if strings.HasPrefix(string(where), "socket:") || strings.HasPrefix(string(where), "TCP") {
			before(string(data))
			continue
		}
		name := filepath.Base(string(where))
		if name != "lanyard.db" && name != "lanyard.db-wal" {
			continue
		}
		if d[name] == nil {
			d[name] = &onDisk{}
		}
		file := d[name]
		switch call {
		case "pwrite64", "ftruncate":
			if err != nil {
				return fmt.Errorf("%.200s: %w", lines.Text(), err)
			}
			before("")
			file.since = append(file.since, change{last, data})
		case "fsync", "fdatasync":
			n := len(file.since) // what is written while it syncs may be left out
			end := func() {
				for _, c := range file.since[:n] {
					file.change(c)
				}
				file.since = file.since[n:]
			}
			if !done {
				syncing[thread] = end
			} else if strings.HasSuffix(result, "= 0") {
				end()
			}
		}
	}
	return lines.Err()
}

// escaped is s as strace -xx writes it.
func escaped(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	return b.String()
}

// The power is lost, again and again: of what a server on SQLite wrote, only that is left which it had synced at that moment, and of
// the rest nothing, or each sector by chance. What it had acknowledged by then is there, and what was spent is spent.
func TestFaultPowerLost(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("strace", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("no strace here, or it may not look at what a process does: %v %s", err, out)
	}
	file := binary(t)
	o := newOrg(t, storetest.SQLite)
	faultOrg(o, file)
	v := o.spawn(file, "")
	c := newCrowd(o, file, func() string { return v.addr })
	v.end() // well, and leaves no log behind
	c.http.CloseIdleConnections()
	base := must(os.ReadFile(filepath.Join(o.dir, "data", "lanyard.db")))
	if left, _ := filepath.Glob(filepath.Join(o.dir, "data", "*-wal")); len(left) > 0 {
		t.Fatalf("a server that ended left %v", left)
	}
	trace, traced := filepath.Join(o.dir, "trace"), filepath.Join(o.dir, "traced")
	if err := os.WriteFile(traced, []byte("#!/bin/sh\nexec strace -D -f -y -xx -s 1000000 -e signal=none -e trace=write,pwrite64,fsync,fdatasync,ftruncate,?unlink,unlinkat -o "+
		trace+" "+file+` "$@"`+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	v = o.spawn(traced, "")
	grants := map[string]*code{} // by access token
	var mu sync.Mutex
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			s := c.signIn(fmt.Sprintf("u%d", i))
			for range times(60, 240) {
				if s == nil {
					break
				}
				if k := c.authorize(s); k != nil {
					if g, _, err := c.redeem(k); err == nil && g != nil {
						mu.Lock()
						grants[g.access] = k
						mu.Unlock()
					}
				}
			}
		})
	}
	work.Wait()
	v.kill()
	c.http.CloseIdleConnections()
	c.sane()
	if len(grants) < times(240, 960) {
		t.Fatalf("only %d grants", len(grants))
	}

	// At which of these moments is the power lost?
	moments := 0
	if err := (forgetful{"lanyard.db": {synced: slices.Clone(base)}}).does(trace, func(string) { moments++ }); err != nil {
		t.Fatal(err)
	}
	cuts := map[int]bool{moments: true}
	for len(cuts) < times(12, 200) {
		cuts[rand.IntN(moments)+1] = true
	}
	now, cut, compared, forgotten := 0, 0, 0, 0
	var acknowledged []string
	var ready []time.Duration
	d := forgetful{"lanyard.db": {synced: base}}
	err := d.does(trace, func(sent string) {
		if _, rest, ok := strings.Cut(sent, `"access_token":"`); ok {
			token, _, _ := strings.Cut(rest, `"`)
			acknowledged = append(acknowledged, token)
		}
		if now++; !cuts[now] {
			return
		}
		dark := &org{t: t, dir: t.TempDir(), url: o.url, env: o.env}
		data := filepath.Join(dark.dir, "data")
		dark.env = append(slices.Clone(o.env), "LANYARD_DATA="+data)
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		chance := float64(cut%3) * .45 // none, some, most
		if err := d.without(data, func() bool { return rand.Float64() < chance }); err != nil {
			t.Fatal(err)
		}
		for _, f := range d {
			forgotten += len(f.since)
		}
		cut++
		v = dark.spawn(file, "")
		ready = append(ready, v.ready)
		for i, token := range acknowledged {
			if a, err := c.ask("GET", "/oauth2/userinfo", nil, bearer(token)); err != nil || a.status != http.StatusOK {
				t.Errorf("at moment %d of %d grant %d of %d is lost: %v", now, moments, i+1, len(acknowledged), err)
				break
			}
			compared++
		}
		for range min(10, len(acknowledged)) {
			k := grants[acknowledged[rand.IntN(len(acknowledged))]]
			if k == nil {
				continue
			}
			a, err := c.ask("POST", "/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"pocket"}, "redirect_uri": {pocketBack},
				"code": {k.value}, "code_verifier": {k.verifier}}, nil)
			if err != nil || a.text("error") != "invalid_grant" {
				t.Errorf("at moment %d of %d: a code that was spent is taken again (%v)", now, moments, err)
			}
		}
		dark.sound(t)
		v.kill()
		c.http.CloseIdleConnections()
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(acknowledged) < len(grants) || forgotten == 0 {
		t.Errorf("the trace has %d of %d answers; %d writes were lost", len(acknowledged), len(grants), forgotten)
	}
	t.Logf("the power was lost at %d of %d moments, with %d writes not synced: %d acknowledged grants compared; ready p50 %s, p99 %s", cut, moments, forgotten, compared,
		percentile(ready, .5).Round(time.Millisecond), percentile(ready, .99).Round(time.Millisecond))
}
