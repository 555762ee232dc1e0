# `make` alone lists what there is to make.
GO       ?= go
BIN      := bin/longitude
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The same flags everywhere: other flags would build everything a second time.
LDFLAGS  := -X main.version=$(VERSION)
LINTER   := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 10s
CANARIES ?= 100000
COMPOSE  := .longitude/compose

.DEFAULT_GOAL := help
.PHONY: help demo build test crash canary fuzz bench load lint up generate generate-check tidy clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## the whole main job on a synthetic study; KEEP=1 leaves it serving
	@./deploy/setup.sh postgres sshd
	@./$(BIN) demo $(if $(KEEP),--keep)

build: ## the one binary, as bin/longitude
	@CGO_ENABLED=0 $(GO) build -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/longitude

test: ## all tests, with the race detector, in random order
	@./deploy/setup.sh
	@$(GO) test -race -shuffle=on -timeout 25m ./...

crash: ## kill -9 at every named point of the commit order, run again, compare
	@./deploy/setup.sh postgres sshd
	@$(GO) test -count=1 -timeout 25m -tags crash -run Crash ./cmd/... ./pipeline/... ./internal/postgres/...

canary: ## planted identifiers through a release of 100,000 participants, with debug logs: none may be anywhere
	@./deploy/setup.sh postgres sshd
	@$(GO) test -count=1 -timeout 5h -v -run TestNoIdentifierLeaks ./cmd/longitude -canary.participants $(CANARIES)

fuzz: ## every fuzz target for FUZZTIME (10s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
			echo "$$target in $$(dirname "$$file")"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
		done; \
	done

bench: ## the measurements, against the machine's limits and the peers
	@./deploy/setup.sh postgres
	@$(GO) run ./bench

load: ## signed requests at a real service: steady, burst, overload, slow senders, kill -9; nothing acknowledged is lost
	@./deploy/setup.sh postgres
	@$(GO) run ./bench/load

lint: ## what gofmt, go vet, golangci-lint and phivet (no record in a log or an error) find
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
		if [ -n "$$unformatted" ]; then echo "gofmt these:"; echo "$$unformatted"; exit 1; fi
	@$(GO) vet ./...
	@PATH="$$($(GO) env GOPATH)/bin:$$PATH"; \
		command -v golangci-lint >/dev/null || $(GO) install $(LINTER); \
		golangci-lint run ./...
	@$(GO) run ./internal/phivet/phivet ./...

up: ## Longitude, PostgreSQL and an SFTP drop in containers
	@mkdir -p $(COMPOSE)/keys $(COMPOSE)/drop $(COMPOSE)/data
	@for key in host drop; do \
		test -f $(COMPOSE)/keys/$${key}_ed25519 || ssh-keygen -q -t ed25519 -N '' -C $$key -f $(COMPOSE)/keys/$${key}_ed25519; \
	done
	@echo "[127.0.0.1]:52222 $$(cut -d' ' -f1,2 $(COMPOSE)/keys/host_ed25519.pub)" > $(COMPOSE)/keys/known_hosts
	@LONGITUDE_USER=$$(id -u):$$(id -g) docker compose up --build

generate: ## write again what is generated: schema, API description, reference tables
	@for package in $$(grep -rlE --include='*_test.go' '"update",|/connectortest"' . | xargs -n1 dirname | sort -u); do \
		$(GO) test -count=1 $$package -update || exit 1; \
	done

generate-check: generate ## fail if a generated file is not what its source says
	@git diff --exit-code --stat

tidy: ## go.mod and go.sum as the code needs them
	@$(GO) mod tidy

clean: ## remove what was built
	@rm -rf bin
