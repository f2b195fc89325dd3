.DEFAULT_GOAL := help

# The stack that is rehearsed or previewed: dev, prod or example, for a preview also all.
STACK ?= dev
# The revision that a preview or a measurement compares with; none is the merge base with main, or HEAD.
BASE ?=
# Anything: leave the rehearsed stack up.
KEEP ?=
# A folder like ~/.pulumi/plugins: its plugins for kubernetes and eks are rehearsed with, in place of the stand-ins.
PULUMI_PLUGINS ?=
# Anything: the stack's state is lost for good, and what runs is left over.
LOST ?=
# Which faults are played, those whose name contains this; which checks verify runs, by name, with commas. None is all.
ONLY ?=
# Anything: the tests have the race detector. For it all that they use is compiled once more, the SDKs too.
RACE ?=

.PHONY: help
help: ## Lists what make can do here.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# A pulumi on PATH is used instead of building one if it has the same major version as the pin in tools/pulumi/go.mod,
# is not older, and has its pulumi-language-go on PATH too. Whatever is used is found in .tools/bin.
.PHONY: tools
tools: ## Builds or fetches into .tools what is missing: pulumi, its Go host, a Kubernetes control plane, OpenSearch, linters.
	@sh tools/build.sh

.PHONY: lint
lint: ## Checks every module: formatting, vet, staticcheck, the build for macOS; workflows, Dockerfiles, scripts, width of lines.
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	@for module in . rehearsal tools/eksctl tools/kubernetes examples/backend; do \
		echo "lint: $$module" && \
		(cd $$module && go vet ./... && GOFLAGS= go tool -modfile=$(CURDIR)/tools/lint/go.mod staticcheck ./...) || exit 1; \
	done
	@cd rehearsal && GOOS=darwin go build -o /dev/null ./cmd
	@GOFLAGS= go tool -modfile=tools/lint/go.mod actionlint .github/workflows/*.yml
	@cd tools/lint && GOFLAGS= go test .
	@if command -v shellcheck >/dev/null; then shellcheck $$(git ls-files '*.sh' .ci/run); \
		else echo "lint: found no shellcheck: the scripts are not checked"; fi
	@if [ -x .tools/bin/zizmor ]; then .tools/bin/zizmor --quiet --offline .github; \
		else echo "lint: make tools brings zizmor: the workflows' safety is not checked"; fi
	@tools/lint/width.sh

# Where what is known is listed; a copy in a folder is file:///FOLDER.
VULNDB ?= https://vuln.go.dev
# Reported only: tools of others, of versions that their authors set, for the rehearsal. Nobody but the machine's user reaches
# them. By packages: to find what of Kubernetes is called takes many minutes.
reported = tools/kubernetes tools/language-host tools/pulumi
.PHONY: vulnerabilities
vulnerabilities: ## Looks in every module for known vulnerabilities of what it calls: needs a network.
	@failed=; for module in $$(git ls-files '*go.mod' | xargs dirname); do \
		echo "vulnerabilities: $$module"; \
		packages=./...; ! grep -q '^tool ' $$module/go.mod || packages=tool; \
		case " $(reported) " in *" $$module "*) scan=package ;; *) scan=symbol ;; esac; \
		(cd $$module && GOFLAGS= go tool -modfile=$(CURDIR)/tools/lint/go.mod govulncheck -db $(VULNDB) -scan $$scan $$packages) || \
			[ $$scan = package ] || failed="$$failed $$module"; \
	done; test -z "$$failed" || \
		{ echo "vulnerabilities: in$$failed: move what is found with go get, or say here why it is reported only"; exit 1; }

# Many tests wait for other processes: three packages at a time keep two processors busy. All of go vet is in make lint. What compiles,
# the program under mocks, the CLI and the control plane take a quarter less of the processors' time with GOGC=400, for more memory.
tests = GOGC=400 go test $(if $(RACE),-race) -p 3 -vet=off -ldflags=-w -shuffle=on -timeout 40m
# Named first, the packages that take longest begin first.
.PHONY: test
test: ## Runs all tests: no account, no network; those of programs that are not here are skipped (docs/rehearsal.md). RACE=1 as in CI.
	$(tests) ./logging ./tests ./...
	cd examples/backend && $(tests) ./...
	cd tools/eksctl && $(tests) .
	cd rehearsal && $(tests) ./internal/play ./internal/preview ./internal/faults ./setup ./...

.PHONY: aws-rules
aws-rules: .tools/bin/stack ## Renews the table of AWS's rules from the models that AWS publishes: needs pip.
	@wheels=$$(mktemp -d) && trap 'rm -rf "$$wheels"' EXIT && \
		pip download --quiet --no-deps --dest "$$wheels" botocore cfn-lint && \
		.tools/bin/stack aws-rules -wheels "$$wheels"

# The version of botocore that the oldest aws CLI of the README has, see rehearsal/documents/models_test.go.
.PHONY: aws-commands
aws-commands: ## Renews what the test of the shown commands knows of the aws CLI's calls: needs pip.
	@wheels=$$(mktemp -d) && trap 'rm -rf "$$wheels"' EXIT && \
		pip download --quiet --no-deps --dest "$$wheels" botocore==1.35.87 && \
		cd rehearsal && go test ./documents -run TestEveryCommandIsTaken -args -botocore "$$wheels"/botocore-*.whl

# The architecture of the runners that deploy: amd64 or arm64.
ARCH ?= amd64
.PHONY: pulumi-sums
pulumi-sums: ## Writes the checksums of what the workflows install of Pulumi, see docs/ci.md: fetches a gigabyte, ARCH=arm64.
	@.github/scripts/sums.sh $(ARCH)

.PHONY: rehearse
rehearse: tools .tools/bin/stack ## Plays the life of a stack here, and writes .out/rehearse/report.html: STACK=prod, KEEP=1 to leave it up.
	@.tools/bin/stack rehearse -stack $(STACK) -plugins "$(PULUMI_PLUGINS)" $(if $(KEEP),-keep)

.PHONY: rehearse-down
rehearse-down: .tools/bin/stack ## Ends the rehearsal that KEEP=1 left up.
	@.tools/bin/stack rehearse -down

.PHONY: preview-diff
preview-diff: tools .tools/bin/stack ## Shows what the working tree changes, and guards what holds data: BASE=HEAD~1, STACK=all.
	@.tools/bin/stack preview-diff -stack $(STACK) -base "$(BASE)"

.PHONY: fluentd
fluentd: tools ## Has a real fluentd, on PATH or by docker, play what docs/logging.md says of lines: twenty minutes.
	@cd rehearsal && go test -v -count=1 -timeout 60m ./fluentd -args -play

.PHONY: logging-speed
logging-speed: ## Measures the sidecar's filter beside that of another revision, with the Ruby on PATH: BASE=HEAD~1.
	@mkdir -p .out/logging-speed && git show "$(or $(BASE),HEAD):logging/files/filter_expense.rb" >.out/logging-speed/former_filter.rb
	@cd logging && ruby -I testdata testdata/speed.rb ../.out/logging-speed/former_filter.rb files/filter_expense.rb

.PHONY: doctor
doctor: .tools/bin/stack ## Looks at this machine, your account and a stack's settings before the first `pulumi up`.
	@.tools/bin/stack doctor -stack $(STACK)

# Anything: run the checks too that touch the stack, or those too that take a node away; list what each does, and run none.
TOUCH ?=
BREAK ?=
LIST ?=
.PHONY: verify
verify: .tools/bin/stack ## Checks a stack in your account, or the one that KEEP=1 left up: TOUCH=1, BREAK=1, LIST=1, ONLY=pods.
	@.tools/bin/stack verify -stack $(STACK) -only "$(ONLY)" $(if $(TOUCH),-touch) $(if $(BREAK),-break) $(if $(LIST),-list)

# The file, or the folder of files, that a stack's file is made of.
FILE ?=
# Anything: write the stack's file without the fields that are not supported.
ANYWAY ?=
.PHONY: from-eksctl
from-eksctl: .tools/bin/stack ## Makes a stack's file from eksctl's: FILE=eks.yml STACK=expense, ANYWAY=1 for what is not supported.
	@.tools/bin/stack from-eksctl -file "$$FILE" -stack "$(STACK)" $(if $(ANYWAY),-anyway)

.PHONY: why
why: .tools/bin/stack ## Says in one line for each app of a stack why it did not come up, after `pulumi up` failed.
	@.tools/bin/stack why -stack $(STACK)

# The app whose image is built, or capture, the program that copies the output of images without a shell.
NAME ?=
.PHONY: image
image: .tools/bin/stack ## Builds an app's image, tries and pushes it, and writes it into the stack's file: NAME=backend.
	@.tools/bin/stack image -stack $(STACK) -name "$(NAME)"

.PHONY: image-cache
image-cache: .tools/bin/stack ## Pulls what comes by the stack's pull-through caches once, for a network without a way out.
	@.tools/bin/stack image -stack $(STACK) -mode fill

# Anything: Go is printed for what the words of an app do not have.
GO ?=
.PHONY: from-manifests
from-manifests: .tools/bin/stack ## Adds apps to the stack's file for a folder of manifests: FILE=k8s, GO=1 prints Go for the rest.
	@.tools/bin/stack from-manifests -stack "$(STACK)" -file "$$FILE" $(if $(GO),-go)

.PHONY: leftovers
leftovers: .tools/bin/stack ## Lists what a stack left behind in your account, with the commands that remove it.
	@.tools/bin/stack leftovers -stack $(STACK) $(if $(LOST),-lost)

# The CLI shows --event-log only with PULUMI_DEBUG_COMMANDS. A name begins with its time, so that the last one is the newest.
logged = mkdir -p -m 700 .out/events && mkdir -p -m 700 .out/events/$(STACK) && PULUMI_DEBUG_COMMANDS=true pulumi $(1) --stack $(STACK) \
	--event-log .out/events/$(STACK)/$$(date -u +%Y%m%dT%H%M%SZ)-$(1).json
.PHONY: up-logged
up-logged: ## Is pulumi up, and keeps the engine's event log for make record.
	@$(call logged,up)

.PHONY: destroy-logged
destroy-logged: ## Is pulumi destroy, and keeps the engine's event log for make record.
	@$(call logged,destroy)

# Anything: the rehearsal is recorded, against itself.
REHEARSAL ?=
# The folder of a record that the model is held to from now on.
ACCEPT ?=
.PHONY: record
record: tools .tools/bin/stack ## Writes what AWS answers about a stack, masked, beside what the model answers (docs/model.md): REHEARSAL=1.
	@.tools/bin/stack record -stack $(STACK) $(if $(REHEARSAL),-rehearsal) -accept "$(ACCEPT)"

.PHONY: faults
faults: tools .tools/bin/stack ## Lets one thing go wrong at every operation, for one to two hours; goes on where it ended: ONLY=up/killed.
	@GOGC=400 .tools/bin/stack faults -only "$(ONLY)"

# How many apps the stack has.
APPS ?= 1,10,100,1000
.PHONY: bench
bench: tools .tools/bin/stack ## Measures the program, previews and `pulumi up` with 1 to 1,000 apps: APPS=10,100.
	go test -run=NONE -bench=Apps -benchmem ./tests
	@.tools/bin/stack bench -apps "$(APPS)"

.PHONY: .tools/bin/stack
.tools/bin/stack:
	@cd rehearsal && GOGC=400 go build -ldflags=-w -o ../$@ ./cmd
