// Package demo is three sample apps that somebody else could have written: they know Lanyard only by its public
// addresses and are built on other people's libraries.
//
//	benefits.go  "Your Benefits", a SAML service provider on crewjam/saml's samlsp
//	wellness.go  "Wellness Tracker", a relying party on coreos/go-oidc
//	orders.go    "Orders", an API behind a small gateway that registers its client dynamically and introspects
//	page.go      how they look
//
// They keep everything in memory and are no example of how to keep a session in a real app.
package demo

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

// sessions remembers, for one sample app, what it received for whom.
type sessions[T any] struct {
	cookie string // one name an app: browsers share cookies between the ports of a host
	mu     sync.Mutex
	m      map[string]entry[T]
}

type entry[T any] struct {
	value T
	until time.Time
}

func newSessions[T any](cookie string) *sessions[T] {
	return &sessions[T]{cookie: cookie, m: map[string]entry[T]{}}
}

func (s *sessions[T]) put(w http.ResponseWriter, v T) {
	id := rand.Text()
	now := time.Now()
	s.mu.Lock()
	for k, e := range s.m {
		if now.After(e.until) {
			delete(s.m, k)
		}
	}
	s.m[id] = entry[T]{v, now.Add(time.Hour)}
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: s.cookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func (s *sessions[T]) get(r *http.Request) (v T, ok bool) {
	c, err := r.Cookie(s.cookie)
	if err != nil {
		return v, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.m[c.Value]
	if !ok || time.Now().After(e.until) {
		return v, false
	}
	return e.value, true
}

func (s *sessions[T]) drop(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(s.cookie); err == nil {
		s.mu.Lock()
		delete(s.m, c.Value)
		s.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: s.cookie, Path: "/", MaxAge: -1})
}

// once remembers values until they are taken, each once: the state of requests under way.
type once[T any] struct {
	mu sync.Mutex
	m  map[string]entry[T]
}

func (o *once[T]) put(key string, v T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.m == nil {
		o.m = map[string]entry[T]{}
	}
	now := time.Now()
	for k, e := range o.m {
		if now.After(e.until) {
			delete(o.m, k)
		}
	}
	o.m[key] = entry[T]{v, now.Add(time.Hour)}
}

func (o *once[T]) take(key string) (v T, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.m[key]
	delete(o.m, key)
	return e.value, ok
}

func (o *once[T]) peek(key string) (v T, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.m[key]
	return e.value, ok
}
