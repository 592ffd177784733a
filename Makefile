# What a developer and CI do. Type make for the list.
SHELL := /bin/sh
.DEFAULT_GOAL := help

# Passed on to the command: make sandbox ARGS=--once
ARGS ?=
# How many tests of a package run side by side: most of their time they wait.
PARALLEL ?= 4
# How long each fuzz test runs.
FUZZTIME ?= 20s

# Built on first use, cached by Go, pinned in tools/go.mod.
LINT := go tool -modfile=tools/go.mod golangci-lint

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z\/]*:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what is missing: PostgreSQL's server and client programs
	@scripts/setup

.PHONY: setup/servers
setup/servers: ## servers of other major versions, for the tests between versions
	@scripts/servers $(ARGS)

.PHONY: sandbox
sandbox: setup ## the whole product on this machine, with a Merge button
	@go run ./cmd/sandbox $(ARGS)

.PHONY: test
test: setup ## every test, on private PostgreSQL servers
	go test -parallel $(PARALLEL) -timeout 9m ./...

.PHONY: test/long
test/long: setup ## every test, those that take long too
	NEONTWIN_TEST_LONG=1 go test -parallel $(PARALLEL) -timeout 30m ./...

.PHONY: test/short
test/short: ## the tests that need no database
	go test -short -timeout 1m ./...

.PHONY: test/race
test/race: setup ## every test, with the race detector
	go test -race -parallel $(PARALLEL) -timeout 15m ./...

.PHONY: test/chaos
test/chaos: setup ## a hundred syncs killed, cut or stopped at random moments, and a thousand events in the service's life; rounds=500 events=5000 seed=7
	NEONTWIN_CHAOS_ROUNDS=$(or $(rounds),100) NEONTWIN_SEED=$(seed) go test -count=1 -timeout 120m -run='^TestChaos$$' -v ./internal/refresh
	NEONTWIN_MODEL_EVENTS=$(or $(events),1000) NEONTWIN_SEED=$(seed) go test -count=1 -timeout 120m -run='^TestModel$$' -v ./cmd/server

.PHONY: golden
golden: setup ## rewrite the golden files; then read the diff
	go test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n 1 dirname | sort -u) -update

.PHONY: lint
lint: ## every linter of .golangci.yml, formatting included
	$(LINT) run

.PHONY: fix
fix: ## format, and mend what linters can
	$(LINT) run --fix
	$(LINT) fmt

.PHONY: fuzz
fuzz: setup ## each fuzz test for FUZZTIME
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file func; do \
		echo "$${file%/*} $${func#func }"; \
		go test -run='^$$' -fuzz="^$${func#func }\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=10x "$${file%/*}" || exit 1; \
	done

.PHONY: cover
cover: setup ## the lines that no test reaches
	@mkdir -p .cache
	@go test -parallel $(PARALLEL) -timeout 9m -coverpkg=./internal/... -coverprofile=.cache/cover.out ./...
	@awk 'NR > 1 && $$3 > 0 { reached[$$1] = 1 } NR > 1 { all[$$1] = 1 } END { for (at in all) if (!(at in reached)) print at }' .cache/cover.out | sort -t: -k1,1 -k2,2n
	@go tool cover -func=.cache/cover.out | tail -n 1

.PHONY: bench
bench: setup ## a sync against pg_dump and pgcopydb, about half an hour; writes docs/benchmarks.md
	@bench/install-pgcopydb
	go run ./bench $(or $(ARGS),-write docs/benchmarks.md)

.PHONY: bench/webhooks
bench/webhooks: setup ## how many deliveries are taken, beside bare inserts, and lost by kill -9; writes docs/benchmarks-webhooks.md
	go run ./bench/webhooks $(or $(ARGS),-write docs/benchmarks-webhooks.md)

.PHONY: vuln
vuln: ## known holes in what we import and reach (asks vuln.go.dev)
	go tool -modfile=tools/go.mod govulncheck ./...

.PHONY: verify
verify: ## what must hold before a commit: modules, format, vet, the rules of the house
	go mod tidy -diff
	cd tools && go mod tidy -diff
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	go vet ./...
	go test -count=1 .

.PHONY: ci
ci: verify lint test/race ## what CI asks for

.PHONY: db/new
db/new: ## a new migration: make db/new name=add_schedule
	@scripts/new-migration "$(name)"
