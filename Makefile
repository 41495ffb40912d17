# make help lists the targets. Everything a target needs is installed by it:
# Go tools into .tools/ (git-ignored), Debian packages with apt-get as root.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

TOOLS := $(CURDIR)/.tools/bin
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
VERSION_PKG := github.com/prometheus/common/version
LDFLAGS := -X $(VERSION_PKG).Version=$(VERSION) \
	-X $(VERSION_PKG).Revision=$(shell git rev-parse --short HEAD 2>/dev/null || echo unknown) \
	-X $(VERSION_PKG).Branch=$(shell git rev-parse --abbrev-ref HEAD 2>/dev/null || echo unknown)
BINARIES := dag_exporter cutover_webhook dag_lab

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: build
build: ## build the three binaries into bin/
	@mkdir -p bin
	@for b in $(BINARIES); do CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/$$b ./cmd/$$b; done
	@cd tools && CGO_ENABLED=0 $(GO) build -trimpath -o ../bin/ ./demo ./soak

.PHONY: demo
demo: ## the main job, end to end, on this machine: lab, exporter, Prometheus, Alertmanager, webhook, failover (HOLD=1 leaves it running)
	@tools/install.sh --demo
	@echo "building the binaries (about a minute the first time)"
	@$(MAKE) --no-print-directory build
	@PATH="$$PATH:$(TOOLS)" exec bin/demo $(if $(HOLD),--hold) $(DEMO_FLAGS)

.PHONY: test
test: ## every test that runs in process or in seconds, with -race
	@tools/install.sh debian gcc libc6-dev freetds-bin
	$(GO) test -race -timeout 15m ./...
	cd tools && $(GO) test -race -timeout 10m ./...

.PHONY: accept
accept: ## tests that need real processes, other people's clients, a browser, or minutes
	@tools/install.sh debian gcc libc6-dev freetds-bin tdsodbc python3-pyodbc python3-tds python3-openssl
	@command -v npm >/dev/null || tools/install.sh debian nodejs npm
	cd tools/clients/node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@tools/install.sh prometheus
	@tools/install.sh alertmanager
	@$(MAKE) --no-print-directory build
	cd tools && PATH="$(TOOLS):$$PATH" $(GO) test -count=1 -race -timeout 20m -tags accept ./accept/...
	# Without -race: the labs run in the test's own process, hundreds of them; make test runs them with it.
	cd tools && $(GO) test -count=1 -timeout 20m -tags accept ./internal/faultrun/...
	cd tools && $(GO) test -count=1 -race -timeout 15m -tags accept ./clients/...
	$(GO) test -count=1 -race -timeout 15m -tags accept ./internal/tds/...
	# Without -race, which would make minutes into a quarter of an hour: make test runs both packages with it.
	PATH="$(TOOLS):$$PATH" $(GO) test -count=1 -timeout 40m -tags accept ./internal/exporter/... ./internal/cutover/...
	@$(MAKE) --no-print-directory preview
	@$(MAKE) --no-print-directory mutants

.PHONY: preview
preview: ## draw the dashboards in Chromium from the lab's data and check what is to be seen (not Grafana); pictures in artifacts/preview
	@tools/install.sh prometheus
	@command -v chromium >/dev/null || tools/install.sh debian chromium
	@command -v npm >/dev/null || tools/install.sh debian nodejs npm
	@node -e 'if (parseInt(process.versions.node) < 20) { console.error("node 20 or later is needed, here is " + process.version + ": the dashboards were not drawn"); process.exit(1) }'
	cd dashboards/preview && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && npm run --silent build && node types.mjs ..
	cd tools && PATH="$(TOOLS):$$PATH" $(GO) run ./preview -root ..

.PHONY: soak
soak: build ## random faults by seed until something ends badly (SEED=1, FOR=1h)
	bin/soak --program=bin/cutover_webhook $(if $(SEED),--seed=$(SEED)) $(if $(FOR),--for=$(FOR))

.PHONY: faults
faults: build ## the whole fault matrix against the real webhook; writes docs/fault-matrix.md
	bin/soak --program=bin/cutover_webhook --matrix --write=docs/fault-matrix.md

.PHONY: check
check: ## format, vet, linters with the walls of the design, rules, configs, generated files in step
	@tools/install.sh prometheus
	@tools/install.sh alertmanager
	@tools/install.sh golangci-lint
	@files=$$(git ls-files '*.go' | xargs gofmt -l); if [ -n "$$files" ]; then echo "not gofmt-clean:" $$files; exit 1; fi
	$(GO) mod tidy -diff
	cd tools && $(GO) mod tidy -diff
	$(GO) vet -tags accept ./...
	cd tools && $(GO) vet -tags accept ./...
	$(TOOLS)/golangci-lint run ./...
	cd tools && $(TOOLS)/golangci-lint run --config ../.golangci.yml ./...
	tools/walls_test.sh $(TOOLS)/golangci-lint
	$(GO) -C tools run ./rules -check -values ../alerts/values.yml -template ../alerts/rules.tmpl -out ../alerts/rules.yml
	$(GO) -C tools run ./dashboards -check -values ../alerts/values.yml -out ../dashboards
	$(GO) -C tools run ./dashboards -values ../alerts/values.yml -scenarios ../.tools/panels.yml
	$(TOOLS)/promtool test rules .tools/panels.yml
	$(GO) -C tools run ./manifests -check -root ..
	$(TOOLS)/promtool check rules alerts/rules.yml
	$(TOOLS)/promtool test rules alerts/tests/*.yml
	tools/check_configs.sh $(TOOLS)
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/dag_exporter

.PHONY: manifests
manifests: ## make deploy/kubernetes from rules, scrape config and dashboards
	$(GO) -C tools run ./manifests -root ..

.PHONY: mutants
mutants: ## break the start and the critical rules in 560 small ways; every one must be noticed or listed
	@tools/install.sh prometheus
	$(GO) -C tools run ./rules/mutate -alerts ../alerts -promtool $(TOOLS)/promtool

.PHONY: bench
bench: ## the speed of exporter, cutover and lab as ratios, side by side; writes docs/benchmarks.md
	@tools/install.sh debian prometheus-sql-exporter
	$(GO) run ./bench/exporter -write docs/benchmarks.md
	$(GO) run ./bench/cutover -write docs/benchmarks.md
	$(GO) run ./bench -write docs/benchmarks.md

.PHONY: rules
rules: ## make alerts/rules.yml from rules.tmpl and values.yml
	$(GO) -C tools run ./rules -values ../alerts/values.yml -template ../alerts/rules.tmpl -out ../alerts/rules.yml

.PHONY: dashboards
dashboards: ## make dashboards/*.json from tools/dashboards
	$(GO) -C tools run ./dashboards -values ../alerts/values.yml -out ../dashboards

.PHONY: clean
clean: ## remove what was built; .tools stays
	rm -rf bin .demo artifacts
