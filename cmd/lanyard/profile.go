//go:build profile

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// A binary built with -tags profile writes what its time goes to into the folder LANYARD_PROFILE, a file for each two
// seconds: whoever ends it need not wait. `make pgo` makes default.pgo of them, which `go build` goes by.
func init() {
	dir := os.Getenv("LANYARD_PROFILE")
	if dir == "" || len(os.Args) < 2 || os.Args[1] != "serve" {
		return
	}
	go func() {
		for n := 0; ; n++ {
			name := filepath.Join(dir, fmt.Sprintf("%d-%04d", os.Getpid(), n))
			f, err := os.Create(name + ".part")
			if err == nil {
				err = pprof.StartCPUProfile(f)
			}
			if err != nil {
				panic(err)
			}
			time.Sleep(2 * time.Second)
			pprof.StopCPUProfile()
			if err := f.Close(); err != nil {
				panic(err)
			}
			if err := os.Rename(name+".part", name+".pprof"); err != nil {
				panic(err)
			}
		}
	}()
}
