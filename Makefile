# `make help` lists the targets. `make demo` and `make test` need nothing but Go (and root on Debian, for what they install).

GO          ?= go
TAGS        := containers_image_openpgp,exclude_graphdriver_btrfs,exclude_graphdriver_devicemapper
# The engine's libraries want C libraries unless these tags are set; every go command below inherits them. Most have -trimpath as well, as ko
# and releases do, so that what the programs are made of is compiled once.
export GOFLAGS := $(strip $(GOFLAGS) -tags=$(TAGS))
BIN         := bin
CACHE       := $(CURDIR)/.cache
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS     := -s -w -X main.version=$(VERSION)
GOBUILD     := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'
CRANE       := $(CACHE)/tools/crane
GOLANGCI    := $(CACHE)/tools/golangci-lint-v2.15.0
KO          := $(CACHE)/tools/ko-v0.19.1
TEST        ?= .
PKGS        ?= ./...
# What the tests talk to: real git and ssh servers, a second registry implementation, a static shell for test images.
TEST_PACKAGES  := git openssh-server docker-registry busybox-static skopeo util-linux gcc libc6-dev
BENCH_PACKAGES := buildah skopeo docker-registry git gcc g++ make libc6-dev perl openssl ca-certificates

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build osbs and the step binaries into bin/
	$(GOBUILD) -o $(BIN)/ ./cmd/...

.PHONY: osbs
osbs: ## Build bin/osbs only
	@echo "building bin/osbs (the first time takes a minute or two) ..."
	@$(GOBUILD) -o $(BIN)/osbs ./cmd/osbs

.PHONY: demo
demo: osbs ## Build two images from examples/, change the base, watch the other one be rebuilt
	@bash examples/demo.sh $(BIN)/osbs $(CACHE)/demo

.PHONY: test
test: packages vet $(KO) ## Run all tests with the race detector, on real servers (installs what it needs, as root on Debian)
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 $(GO) test -race -timeout 30m -run '$(TEST)' $(PKGS)

.PHONY: vet
vet: ## Check formatting, vet, and that go.mod is tidy
	@test -z "$$(gofmt -l cmd e2e generator pkg internal examples tasks 2>/dev/null | tee -a /dev/stderr)" || { echo "run: gofmt -w on the files above" >&2; exit 1; }
	CGO_ENABLED=0 $(GO) vet -trimpath -tags=$(TAGS),e2e ./...
	$(GO) mod tidy -diff

.PHONY: lint
lint: $(GOLANGCI) ## Run the linters of .golangci.yaml
	CGO_ENABLED=0 GOFLAGS='$(GOFLAGS) -trimpath' $(GOLANGCI) run ./...

$(GOLANGCI):
	@mkdir -p $(@D)
	CGO_ENABLED=0 GOFLAGS= GOBIN=$(@D)/new $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(subst golangci-lint-,,$(notdir $@))
	@mv $(@D)/new/golangci-lint $@

.PHONY: fuzz
fuzz: ## Run every fuzz test for FUZZTIME (default 20s) each
	@for file in $$(grep -rlE '^func Fuzz' --include='*_test.go' cmd generator pkg internal tasks); do \
	  for f in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' $$file); do \
	    echo "== $$(dirname $$file) $$f"; CGO_ENABLED=0 $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(or $(FUZZTIME),20s) ./$$(dirname $$file) || exit 1; \
	  done; done

.PHONY: bench
bench: build $(CRANE) ## Measure against buildah, skopeo and git on this machine, and print the ratios (as root); and the planner
	@$(call install,$(BENCH_PACKAGES))
	$(GO) run ./internal/bench -bin $(BIN)
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench . ./pkg/rebuild ./pkg/imagewatch

$(CRANE):
	@mkdir -p $(@D)
	CGO_ENABLED=0 GOFLAGS= GOBIN=$(@D) $(GO) install github.com/google/go-containerregistry/cmd/crane@v0.22.1

CLUSTER     := $(CACHE)/tools/cluster
# The cluster's program has a module of its own; it is built each time, which costs nothing if nothing changed.
define cluster
@mkdir -p $(dir $(CLUSTER)) && cd e2e/cluster && GOFLAGS= CGO_ENABLED=0 $(GO) build -o $(CLUSTER) ./cmd/cluster
endef

.PHONY: cluster-up
cluster-up: ## Bring up a real cluster with Tekton and ImageStreams, in namespaces of its own (as root on Debian)
	$(cluster)
	@$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## End the cluster, and remove all that belonged to it
	$(cluster)
	@$(CLUSTER) down

.PHONY: cluster-status
cluster-status: ## Say whether the cluster is up, and what runs in it
	$(cluster)
	@$(CLUSTER) status

.PHONY: cluster-shell
cluster-shell: ## Start a shell that sees the cluster, with kubectl, tkn, crane and ko
	$(cluster)
	@$(CLUSTER) shell

.PHONY: cluster-check
cluster-check: ## Vet the modules of e2e/ that have a go.mod of their own, and run the unit tests of the cluster's program
	cd e2e/cluster && export GOFLAGS= CGO_ENABLED=0 && $(GO) vet ./... && $(GO) mod tidy -diff && $(GO) test ./...
	cd e2e/chains && export GOFLAGS= CGO_ENABLED=0 && $(GO) vet ./... && $(GO) mod tidy -diff

.PHONY: e2e
e2e: ## Run the suites of e2e/ on a real cluster, which comes and goes, or on that of KUBECONFIG (as root on Debian; TEST=..., E2E=./e2e/build, KEEP=1, RETRY=1)
	@KEEP='$(KEEP)' RETRY='$(RETRY)' bash e2e/run.sh -run '$(TEST)' $(E2E)

.PHONY: bench-e2e
bench-e2e: ## Measure builds on the cluster against a plain Tekton pipeline and Shipwright, and autorebuilds (ROUNDS=3, CASE=latency, SHARE=0.1)
	@KEEP='$(KEEP)' ROUNDS='$(or $(ROUNDS),3)' CASE='$(CASE)' SHARE='$(SHARE)' bash e2e/run.sh -bench

.PHONY: cluster-test
cluster-test: ## Try the cluster: pods, claims, git, an import, a PipelineRun, an event
	$(cluster)
	@$(CLUSTER) test

.PHONY: generate
generate: ## Render what is generated: pipelines/, and the references in docs/
	CGO_ENABLED=0 GOFLAGS='$(GOFLAGS) -trimpath' $(GO) generate ./...

.PHONY: verify-generate
verify-generate: generate ## Check that what is generated is committed
	@git diff --exit-code -- docs pipelines generator || { echo "generated files differ: run 'make generate' and commit" >&2; exit 1; }

.PHONY: release
release: $(KO) ## Make dist/osbs-VERSION: objects, images in REGISTRY, SBOMs, programs, checksums (BASE=IMAGE, PLATFORMS=..., CONFIG=FILE)
	@CGO_ENABLED=0 $(GO) run ./internal/release -version '$(VERSION)' -registry '$(or $(REGISTRY),localhost:5000/osbs)' -ko $(KO) \
	  -base '$(BASE)' -config '$(CONFIG)' $(if $(PLATFORMS),-platforms '$(PLATFORMS)')

$(KO):
	@mkdir -p $(@D)
	CGO_ENABLED=0 GOFLAGS= GOBIN=$(@D)/new $(GO) install github.com/google/ko@$(subst ko-,,$(notdir $@))
	@mv $(@D)/new/ko $@

.PHONY: packages
packages: ## Install the Debian packages that the tests use
	@$(call install,$(TEST_PACKAGES))

.PHONY: clean
clean: ## Remove what was built, and the demo
	rm -rf $(BIN) $(CACHE) dist

# install PACKAGES: nothing to do if dpkg has them all; never asks.
define install
missing=""; for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
if [ -n "$$missing" ]; then \
  if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then echo "please install:$$missing" >&2; exit 1; fi; \
  echo "installing:$$missing"; \
  (apt-get -qq update && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq -y --no-install-recommends install $$missing) >$(or $(TMPDIR),/tmp)/osbs-packages.log 2>&1 \
    || { cat $(or $(TMPDIR),/tmp)/osbs-packages.log >&2; exit 1; }; \
fi
endef
