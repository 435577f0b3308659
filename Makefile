.DEFAULT_GOAL := help
.PHONY: help test check fuzz bench pgo torture build

FUZZTIME ?= 30s

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' Makefile

test: ## every test with its real parts; installs and starts what is missing (INSTALL=no: only says so)
	@INSTALL=$(INSTALL) .ci/test

check: ## gofmt, go vet, staticcheck, errcheck
	@.ci/check

fuzz: ## every fuzz test for FUZZTIME (30s)
	@FUZZTIME=$(FUZZTIME) .ci/fuzz

bench: ## the figures, into BENCHMARKS.md, about 15 minutes (LARGE=1: of a large store too)
	@LARGE=$(LARGE) .ci/bench

pgo: ## cmd/lanyard/default.pgo, by which `go build` makes the hot paths faster, anew; about 5 minutes
	@.ci/pgo

torture: ## the tests of faults for an hour: 1,000 kills, 1,000,000 races; RELIABILITY.md has the figures
	@INSTALL=$(INSTALL) .ci/torture

build: ## ./lanyard, one static binary
	@. .ci/need-go && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o lanyard ./cmd/lanyard
