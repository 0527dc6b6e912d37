# What CI runs, in parts. make help lists them.

FUZZTIME ?= 30s
BENCHTIME ?= 1s
SOAK ?= 10m
GO ?= go
BINDIR ?= $(or $(shell $(GO) env GOBIN),$(shell $(GO) env GOPATH)/bin)

# The stories of the specification that mean the same when each peer is on another node
# than the one before: not those that wait for what one node does before it answers, or
# that count what one node has.
ON_NODES = ^Test(Publisher|SubscriberBlack|PatternBasedSub|Disclosure|Progressive|Call|Testaments|SharedRegistrationR|Trust|RetainedN)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.PHONY: all
all: check test ## check and test

.PHONY: build
build: ## bin/blindfold (the router) and bin/seal
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/blindfold ./cmd/router
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/seal ./cmd/seal

.PHONY: install
install: ## blindfold and seal into $(BINDIR): GOBIN or GOPATH/bin
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BINDIR)/blindfold ./cmd/router
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BINDIR)/seal ./cmd/seal

.PHONY: run
run: ## the router with its defaults, on the addresses that it prints
	$(GO) run ./cmd/router

.PHONY: check
check: ## gofmt, go vet, staticcheck, go.mod: for all tags, and for macOS too
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; }
	$(GO) mod tidy -diff
	$(GO) mod verify
	$(GO) vet ./...
	$(GO) vet -tags sabotage ./integration/sabotage/...
	GOOS=darwin $(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags sabotage ./integration/sabotage/...

.PHONY: test
test: ## the tests that take no more than a few seconds each
	$(GO) test ./...

# Tests of Autobahn|Python, with another version of it than Debian's.
NEWEST = BLINDFOLD_PYTHON=$(CURDIR)/integration/interop/venv/bin/python

.PHONY: test-all
test-all: export BLINDFOLD_TESTS = all
test-all: ## every test, with the race detector, and none skipped (.ci/install installs what they need)
	.ci/no-skips $(GO) test -race -v -timeout 30m ./...
	.ci/no-skips $(GO) test -v -run 'TestMatrix' ./integration/spec
	BLINDFOLD_NODES=2 .ci/no-skips $(GO) test -v -run '$(ON_NODES)' ./integration/spec
	.ci/no-skips $(GO) test -v -run 'Alloc' $$($(GO) list ./... | grep -v /integration)
	$(NEWEST) .ci/no-skips $(GO) test -v -run 'Autobahn|RequestIDs' ./integration/interop ./auth ./cryptobox

.PHONY: clients
clients: ## build the Python and JavaScript packages, and install them and their clients for integration/clients
	integration/clients/install

# The Go proxy does not serve nexus, so CI can't build this module: see docs/nexus.md.
NEXUS ?=
TESTED = adapter/nexus/TESTED.md
.PHONY: nexus
nexus: export BLINDFOLD_TESTS = all
nexus: ## build and test adapter/nexus with the checkout of nexus in NEXUS; the result goes into adapter/nexus/TESTED.md
	@grep -qs '^module github.com/gammazero/nexus/v3$$' "$(NEXUS)/go.mod" || { echo "make nexus NEXUS=DIR: DIR must be a checkout of github.com/gammazero/nexus, version 3"; exit 2; }
	@work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	cp adapter/nexus/go.mod go.sum "$$work"; \
	$(GO) mod edit -replace "github.com/gammazero/nexus/v3=$(abspath $(NEXUS))" -replace "github.com/blindfold-wamp/blindfold=$(CURDIR)" "$$work/go.mod"; \
	export GOFLAGS="-mod=mod -modfile=$$work/go.mod"; \
	(cd adapter/nexus && $(GO) vet ./... && $(GO) test -race -count 1 -v -timeout 10m ./... >"$$work/out") 2>&1; status=$$?; \
	[ $$status = 0 ] && ! grep -q -e '--- SKIP' "$$work/out" && result="passed: go vet, and go test -race, $$(grep -c '^--- PASS' "$$work/out") tests, none skipped" || { cat "$$work/out"; result=failed; status=1; }; \
	{ echo "# What this module was last tested with"; echo; \
	echo "\`make nexus\` writes this file. CI can't build the module: see [docs/nexus.md](../../docs/nexus.md)."; echo; \
	echo "- nexus: $$(git -C "$(NEXUS)" describe --tags --always --dirty), commit $$(git -C "$(NEXUS)" log -1 --format='%H of %cs')"; \
	echo "- these sources: $$(LC_ALL=C; cat adapter/nexus/*.go adapter/nexus/go.mod | sha256sum | cut -c -64)"; \
	echo "- with: $$($(GO) env GOVERSION), Autobahn|Python $$($${BLINDFOLD_PYTHON:-/usr/bin/python3} -c 'import autobahn; print(autobahn.__version__)')"; \
	echo "- date: $$(date -u +%F)"; \
	echo "- result: $$result"; } >$(TESTED); \
	cat $(TESTED); exit $$status

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

.PHONY: bench
bench: ## each benchmark for BENCHTIME
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

.PHONY: cover
cover: ## bin/cover.html: which lines the tests reach, each package by all tests
	@mkdir -p bin
	$(GO) test -coverprofile bin/cover.out -coverpkg "$$($(GO) list ./... | grep -v -e /integration/ -e /examples/ -e /internal/routertest | paste -sd,)" ./...
	$(GO) tool cover -html bin/cover.out -o bin/cover.html
	@$(GO) tool cover -func bin/cover.out | tail -1

.PHONY: soak
soak: ## the built server with clients that come and go, for SOAK
	SOAK=$(SOAK) $(GO) test -count 1 -timeout 0 -v ./integration/soak

.PHONY: model
model: ## the models of sealed scopes (scope/model), with Verifpal
	scope/model/check

.PHONY: vuln
vuln: ## known vulnerabilities of what is called (needs vuln.go.dev); a finding fails
	$(GO) run golang.org/x/vuln/cmd/govulncheck@latest ./...

.PHONY: sbom
sbom: build ## bin/*.cdx.json: what the binaries are built of (CycloneDX)
	@for b in blindfold seal; do $(GO) run ./deploy/sbom bin/$$b bin/$$b.cdx.json && echo bin/$$b.cdx.json; done

.PHONY: docs
docs: ## write the generated parts of docs/
	$(GO) test ./cmd/router -run Reference -update

.PHONY: demo-bundle
demo-bundle: ## build js/ into the demo's pages (TestVendoredSeal has its digest)
	npm ci --ignore-scripts --no-audit --no-fund --silent --prefix js
	npm rebuild esbuild --silent --prefix js
	npm run build --silent --prefix js
	cp js/dist/blindfold-seal.min.js demo/page/vendor/blindfold-seal/

.PHONY: pictures
pictures: ## take the pictures in docs/img (needs chromium)
	PICTURES=$(CURDIR)/docs/img PICTURES_AFTER=60s $(GO) test -count 1 ./integration/ops -run 'InABrowser$$'

.PHONY: ci
ci: ## everything, as CI runs it
	.ci/run
