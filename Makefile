# What CI runs, in parts. make help lists them.

FUZZTIME ?= 30s
SOAK ?= 10m
GO ?= go
BINDIR ?= $(or $(shell $(GO) env GOBIN),$(shell $(GO) env GOPATH)/bin)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.PHONY: all
all: check test

.PHONY: build
build: ## bin/blindfold (the router) and bin/seal
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/blindfold ./cmd/router
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/seal ./cmd/seal

.PHONY: install
install: ## blindfold and seal into $(BINDIR): GOBIN or GOPATH/bin
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BINDIR)/blindfold ./cmd/router
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BINDIR)/seal ./cmd/seal

.PHONY: check
check: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: test
test: ## all tests, with the race detector
	$(GO) test -race -timeout 15m ./...

.PHONY: clients
clients: ## build the Python and JavaScript packages, and install them and their clients for integration/clients
	integration/clients/install

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

.PHONY: bench
bench: ## each benchmark
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: soak
soak: ## the built server with clients that come and go, for SOAK
	SOAK=$(SOAK) $(GO) test -count 1 -timeout 0 -v ./integration/soak

.PHONY: vuln
vuln: ## known vulnerabilities of what is called (needs vuln.go.dev); a finding fails
	$(GO) run golang.org/x/vuln/cmd/govulncheck@latest ./...

.PHONY: sbom
sbom: build ## bin/*.cdx.json: what the binaries are built of (CycloneDX)
	@for b in blindfold seal; do $(GO) run ./deploy/sbom bin/$$b bin/$$b.cdx.json && echo bin/$$b.cdx.json; done

.PHONY: docs
docs: ## write the generated parts of docs/
	$(GO) test ./cmd/router -run Reference -update

.PHONY: pictures
pictures: ## take the pictures in docs/img (needs chromium)
	PICTURES=$(CURDIR)/docs/img PICTURES_AFTER=60s $(GO) test -count 1 ./integration/ops -run 'InABrowser$$'

.PHONY: ci
ci: ## everything, as CI runs it
	.ci/run
