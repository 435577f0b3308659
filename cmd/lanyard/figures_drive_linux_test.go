package main_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The driver: as little as can be between the clock and the server, because it shares a machine with it.

// keepalive is a connection to the server that stays.
type keepalive struct {
	net.Conn
	in   *bufio.Reader
	body []byte
}

// answer is what came back; body lives until the connection is asked again.
type answer struct {
	status   int
	location string
	body     []byte
}

func connect(addr string) (*keepalive, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &keepalive{Conn: c, in: bufio.NewReaderSize(c, 32<<10)}, nil
}

// do sends a request as it is written and reads its answer.
func (k *keepalive) do(request []byte) (a answer, err error) {
	if _, err := k.Write(request); err != nil {
		return a, err
	}
	line, err := k.in.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return a, fmt.Errorf("no HTTP/1.1: %q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, err
	}
	length, chunked := 0, false
	for {
		if line, err = k.in.ReadSlice('\n'); err != nil {
			return a, err
		}
		if len(line) <= 2 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch value = bytes.TrimSpace(value); string(name) {
		case "Content-Length":
			length, err = strconv.Atoi(string(value))
		case "Transfer-Encoding":
			chunked = true
		case "Location":
			a.location = string(value)
		}
		if err != nil {
			return a, err
		}
	}
	if !chunked {
		k.body = slices.Grow(k.body[:0], length)[:length]
		_, err = io.ReadFull(k.in, k.body)
		a.body = k.body
		return a, err
	}
	k.body = k.body[:0]
	for {
		if line, err = k.in.ReadSlice('\n'); err != nil {
			return a, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return a, err
		}
		at := len(k.body)
		k.body = slices.Grow(k.body, int(n)+2)[:at+int(n)+2]
		if _, err := io.ReadFull(k.in, k.body[at:]); err != nil {
			return a, err
		}
		k.body = k.body[:at+int(n)]
		if n == 0 {
			a.body = k.body
			return a, nil
		}
	}
}

// get and form write requests.
func (w *worker) get(path, header string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + w.addr + "\r\n" + header + "\r\n")
}

func (w *worker) form(path, header, body string) []byte {
	return []byte("POST " + path + " HTTP/1.1\r\nHost: " + w.addr + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n" + header + "\r\n" + body)
}

// worker is one of those in flight.
type worker struct {
	*keepalive
	*world
	n    int // which one
	turn int // how often it did its flow
}

// send asks and demands the status.
func (w *worker) send(want int, request []byte) (answer, error) {
	a, err := w.do(request)
	if err == nil && a.status != want {
		line, _, _ := strings.Cut(string(request), "\r\n")
		err = fmt.Errorf("%s: %d\n%.2000s", line, a.status, a.body)
	}
	return a, err
}

// load is a flow done again and again by some at once, for a while.
type load struct {
	flows int
	took  []time.Duration // each, sorted
}

func (l load) at(percent int) time.Duration {
	return l.took[min(len(l.took)*percent/100, len(l.took)-1)]
}

// drive has n workers do the flow for a while, and each at least once.
func drive(world *world, n int, while time.Duration, flow func(*worker) error) (load, error) {
	var l load
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	end := time.Now().Add(while)
	for i := range n {
		wg.Go(func() {
			var took []time.Duration
			err := func() error {
				k, err := connect(world.addr)
				if err != nil {
					return err
				}
				defer k.Close()
				w := &worker{keepalive: k, world: world, n: i}
				for ok := true; ok; ok = time.Now().Before(end) {
					began := time.Now()
					w.turn = int(world.turns.Add(1))
					if err := flow(w); err != nil {
						return err
					}
					took = append(took, time.Since(began))
				}
				return nil
			}()
			mu.Lock()
			defer mu.Unlock()
			l.took, failed = append(l.took, took...), errors.Join(failed, err)
		})
	}
	wg.Wait()
	l.flows = len(l.took)
	slices.Sort(l.took)
	return l, failed
}
