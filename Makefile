# make run     a local flock of five, live        make test    every test that needs only Go
# make help    the rest
GO      ?= go
BIN     := bin/ddgoose
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
DATE    ?= $(shell git log -1 --format=%cd --date=format:%Y-%m-%d 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)
FOR     ?= 30s

# Tests of this name run a real flock: without the race detector, and never from Go's cache, which
# cannot see that the program they build has changed.
PROCESSES := ^TestProcessesOfA

# The time-outs of tests end only what hangs: they are about three times what the slowest package takes beside ten
# other programs on two cores. make check vets, so the tests need not.
# Where live memory is small, GOGC=400 saves a tenth of the time.
TEST    := $(GO) test -vet=off

.DEFAULT_GOAL := help

## run: build ddgoose and start a local flock of five agents, shown live (Ctrl-C stops it)
run: build
	$(BIN) flock

## build: build bin/ddgoose
build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/ddgoose

## test: every test that needs only Go (at most 8 minutes on two cores)
# What has one thread runs beside the rest; real processes, whose times are measured, run alone.
test:
	$(MAKE) --no-print-directory -j2 race-bubbles race-others test-model test-sim test-virtual test-fuzz
	$(MAKE) --no-print-directory test-processes

## test-race: tests with the race detector, but for test-processes and what test-model and test-sim run without it
# Tests in bubbles of virtual time get one processor: with more, Go 1.26 lets two threads run the timers of one bubble
# under one race context (unlockAndRun in runtime/time.go), and the race detector crashes. It needs no second one.
RACE    := $(TEST) -race -timeout 20m -skip '$(PROCESSES)'
# Tests of package agent that last minutes of virtual time: make test runs them without the race detector only, which
# takes six times as long. The others start the same goroutines. make test-race runs all.
SLOW    := VirtualSoakOfFlags|IsToldEverywhere|ElectionsAreSpread|PercentLoss|AStrangerIsNot|FaultsAreCounted|DoctorMeasures|DoctorInAPartition|WantedAtOnce|ARefusedAgent|WithItsOldDisk|OneThatLeft|FreezesCross|KeepsChanging|FiveMinutes|IsReplacedByAn|IsSilentAndRevival|DamagedDatagrams|WatchTells|AMajorityIsLost|ALostDiskComesBack|SecondOfAName|AllRestartWithout|OnlyContestantLeaves|NobodyContestsFollow|AllOfANewFlock|SetsAMarkBack|FreezeEndsByItself|SteadyForAMinute|LockedOutByAKey|LongestGrace|FrozenFlock|NameWasTaken|SecondRecovery|AgentAheadIs|LeftAloneCares|LostDiskIsNo|GeeseOfAllElections
# In these nobody starts a goroutine, the tests neither: the race detector would see nothing, and take eight times as long.
SINGLE  := ./agent/member ./agent/store ./agent/internal/founding ./netem ./netem/schedule ./wire
BUBBLES  = $(shell grep -rl --include='*_test.go' '"testing/synctest"' . | xargs -n1 dirname | sort -u)
test-race:
	$(MAKE) --no-print-directory -j2 race-bubbles race-others SLOW=
race-bubbles:
	$(RACE) -cpu 1 -skip '$(SLOW)' ./agent
	$(RACE) -cpu 1 -p 1 $(filter-out ./agent,$(BUBBLES))
race-others:
	$(RACE) $$($(GO) list ./... | grep -vxF "$$($(GO) list $(BUBBLES) $(SINGLE) ./agent/election)")
	$(RACE) -run SharesNothing ./agent/election

## test-processes: real agent processes, killed, cut off, healed and measured
test-processes:
	$(TEST) -count=1 -timeout 12m -run '$(PROCESSES)' ./cmd/ddgoose/...

## test-model: the rules: their tests, the model check, and seeds of wild schedules
test-model:
	$(TEST) -count=1 -timeout 15m ./agent/election

## test-sim: the simulator's scenarios, seeds, crashes after every effect, and planted faults; packages without goroutines
test-sim:
	GOGC=400 $(TEST) -count=1 -timeout 15m ./netem/sim $(SINGLE)

## test-virtual: whole agents in virtual time, tormented by a few seeds; what the race detector makes slow, or hides
test-virtual:
	GOGC=400 $(TEST) -count=1 -timeout 15m -run 'VirtualSoak|AHundredElections|AllocatesNothing|HistoriesAgree|$(SLOW)' ./agent -soak.seeds 2

## test-fuzz: every fuzz target for a moment
test-fuzz:
	$(MAKE) --no-print-directory fuzz FOR=1000x

## modelcheck: the model check at full bounds (minutes)
modelcheck:
	$(GO) test -count=1 -v -timeout 60m -run 'ModelCheck' ./agent/election -modelcheck.long

## fuzz: every fuzz target for FOR (30s, or a number of inputs as 10000x)
# Until Go 1.27 a timed run may end with a bare "context deadline exceeded" (golang/go issue 75804). What a run
# finds it writes to testdata/fuzz, so a run that failed is judged by playing that again.
fuzz:
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; cache=$$($(GO) env GOCACHE)/fuzz; \
	for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  $(TEST) -c -fuzz . -o "$$dir/fuzz" $$pkg; \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$pkg/*_test.go); do \
	    echo "fuzz $$pkg $$target"; \
	    (cd $$pkg && "$$dir/fuzz" -test.run '^$$' -test.fuzz "^$$target$$" -test.fuzztime $(FOR) -test.fuzzminimizetime 1x \
	      -test.fuzzcachedir "$$cache/duckduckgoose/$$pkg") || $(TEST) -run "^$$target$$" $$pkg; \
	  done; \
	done

## test-extra: what takes long or needs more than Go: root, a browser, cron, nginx, HAProxy, PostgreSQL, Docker, Podman, rpm (at most 15 minutes)
test-extra:
# The first makes loads of up to 16, beside which the others' soaks would stall.
	DDGOOSE_TEST_EXTRA=1 $(GO) test -count=1 -v -timeout 30m ./cmd/ddgoose/run
	DDGOOSE_TEST_EXTRA=1 $(GO) test -count=1 -v -timeout 30m ./netem/lab ./cmd/ddgoose/soak ./cmd/ddgoose/deploy ./cmd/ddgoose/proxy ./agent/fence

## soak: torment a local flock of seven for SOAK_FOR (10m), by SEED (drawn)
soak: build
	$(BIN) soak --agents 7 --for $(or $(SOAK_FOR),10m) --out out/soak $(if $(SEED),--seed $(SEED))

## soak-virtual: SEEDS (20) soaks of whole agents, an hour of virtual time each
soak-virtual:
	$(GO) test -count=1 -v -timeout 120m -run VirtualSoak ./agent -soak.for 1h -soak.seed $(or $(SEED),1) -soak.seeds $(or $(SEEDS),20)

## sim: SEEDS (1000) seeds of the simulator, and every scenario
sim: build
	$(BIN) sim --seed $(or $(SEED),1) --seeds $(or $(SEEDS),1000)
	$(GO) test -count=1 -timeout 60m ./netem/sim -run Scenarios -sim.long

## bench: failover, hand-over and idle cost of a real local flock
bench: build
	$(BIN) bench failover

## check: gofmt, vet, staticcheck, go mod tidy
check:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt would change: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff

## rewrite: renew the golden files; read the diff
rewrite:
	$(GO) test ./agent/election ./wire ./netem ./cmd/ddgoose ./cmd/ddgoose/top ./agent -run 'Stories|Bytes|Golden|HelpIs|AsTheTableSays|^TestScreens$$|AsDrawn' -rewrite

## screen: take the picture of the live screen in README.md from a flock of five
screen:
	$(GO) test -count=1 ./cmd/ddgoose -run ReadmesScreen -rewrite

# What is made to be carried elsewhere goes below DIST; DESTDIR and PREFIX say where install puts what.
DIST    ?= dist
PREFIX  ?= /usr/local
DEPLOY  := cmd/ddgoose/deploy
TEXTS   := LICENSE README.md CHANGELOG.md
HANDBOOK := cmd/ddgoose/README.md
IMAGE   ?= ddgoose:latest
PLATFORMS ?= linux/amd64 linux/arm64 linux/arm linux/riscv64 linux/ppc64le linux/s390x darwin/amd64 darwin/arm64 freebsd/amd64 freebsd/arm64
# Linux packages and the image are made for these; both are in PLATFORMS.
PACKAGED  ?= amd64 arm64
MAINTAINER ?= The DuckDuckGoose authors <ddgoose@localhost>
# Packages need a version of numbers: that of the tag, +N for N commits after it, else the date of the commit.
PACKAGE_VERSION = $(or $(shell echo '$(VERSION)' | sed -En 's/^v?([0-9]+\.[0-9]+\.[0-9]+(-rc[0-9]+)?)(-([0-9]+)-g[0-9a-f]+)?(-dirty)?$$/\1+\4/p' | sed 's/+$$//'),0.0.$(SOURCE_DATE_EPOCH))
# The same commit makes the same bytes: dates are the commit's, and GNU tar knows no owners.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
TAR     ?= tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime=@$(SOURCE_DATE_EPOCH)
SHA256  ?= $(shell command -v sha256sum >/dev/null && echo sha256sum || echo shasum -a 256)

## man: man pages and completions of every command, into dist/man and dist/completions
man: build
	rm -rf $(DIST)/man $(DIST)/completions
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(BIN) man $(DIST)/man
	mkdir -p $(DIST)/completions
	$(BIN) completion bash > $(DIST)/completions/ddgoose.bash
	$(BIN) completion zsh > $(DIST)/completions/_ddgoose
	$(BIN) completion fish > $(DIST)/completions/ddgoose.fish

## install: the binary, man pages, completions and systemd unit, below DESTDIR and PREFIX (/usr/local)
install: man
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/doc/ddgoose \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
	  $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d
	install -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/ddgoose
	install -m 644 $(DIST)/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(DIST)/completions/ddgoose.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ddgoose
	install -m 644 $(DIST)/completions/_ddgoose $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ddgoose
	install -m 644 $(DIST)/completions/ddgoose.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ddgoose.fish
	install -m 644 $(TEXTS) $(DEPLOY)/ddgoose.yaml $(DESTDIR)$(PREFIX)/share/doc/ddgoose
	install -m 644 $(HANDBOOK) $(DESTDIR)$(PREFIX)/share/doc/ddgoose/handbook.md
	install -m 644 $(DEPLOY)/ddgoose.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/ddgoose.conf
	sed 's,/usr/local/bin/,$(PREFIX)/bin/,' $(DEPLOY)/ddgoose.service > $(DIST)/ddgoose.service
	install -m 644 $(DIST)/ddgoose.service $(DESTDIR)$(PREFIX)/lib/systemd/system/ddgoose.service

## dist: archives, packages (.deb, .rpm, .apk), an OCI image, SBOMs and checksums (needs GNU tar)
# The packages hold what install puts in place. Programs that only dist needs have a module file of their own, in tools.
dist:
	rm -rf $(DIST)/ddgoose[-_]* $(DIST)/SHA256SUMS $(DIST)/build $(DIST)/package
	$(MAKE) --no-print-directory install DESTDIR=$(DIST)/package/root PREFIX=/usr
	@set -e; sbom=$$(cd tools && $(GO) tool -n cyclonedx-gomod); n=0; began=$$(date +%s); for platform in $(PLATFORMS); do \
	  left=; [ $$n = 0 ] || left=", about $$(( ($$(date +%s) - began) * ($(words $(PLATFORMS)) - n) / n ))s left"; n=$$((n + 1)); \
	  name=ddgoose-$(VERSION)-$$(echo $$platform | tr / -); echo "$$name ($$n of $(words $(PLATFORMS))$$left)"; \
	  build=$(DIST)/build/$$(echo $$platform | tr / -); mkdir -p $(DIST)/$$name; \
	  CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} \
	    $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $$build/ddgoose ./cmd/ddgoose; \
	  $$sbom bin -json -std -noserial -notimestamp -version '$(VERSION)' -output $(DIST)/$$name.cdx.json $$build/ddgoose 2>/dev/null; \
	  cp -R $(TEXTS) $(DIST)/man $(DIST)/completions $$build/ddgoose $(DIST)/$$name; cp $(HANDBOOK) $(DIST)/$$name/handbook.md; \
	  case $$platform in linux/*) cp $(DEPLOY)/ddgoose.service $(DEPLOY)/ddgoose.sysusers $(DEPLOY)/ddgoose.yaml $(DIST)/$$name;; esac; \
	  $(TAR) -C $(DIST) -cf - $$name | gzip -n -9 > $(DIST)/$$name.tar.gz; \
	  rm -rf $(DIST)/$$name; \
	done
	gzip -n -9 $(DIST)/package/root/usr/share/man/man1/*
	cp $(DEPLOY)/package/* $(DIST)/package
	@set -e; nfpm=$$(cd tools && $(GO) tool -n nfpm); cd $(DIST)/package; for arch in $(PACKAGED); do \
	  install -m 755 ../build/linux-$$arch/ddgoose root/usr/bin/ddgoose; \
	  find . -exec touch -d @$(SOURCE_DATE_EPOCH) {} +; \
	  for kind in deb rpm apk; do \
	    ARCH=$$arch VERSION='$(PACKAGE_VERSION)' MAINTAINER='$(MAINTAINER)' SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) \
	      $$nfpm package --packager $$kind --target ..; \
	  done; \
	done
	TAR='$(TAR)' SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) \
	  $(DEPLOY)/package/oci.sh $(DIST)/ddgoose-$(VERSION)-oci.tar $(DIST)/build $(VERSION) $(PACKAGED)
	rm -rf $(DIST)/build $(DIST)/package
	cd $(DIST) && $(SHA256) ddgoose[-_]* > SHA256SUMS

## image: a container image of the binary alone, IMAGE (ddgoose:latest)
image:
	rm -rf $(DIST)/image
	mkdir -p $(DIST)/image/empty
	CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(DIST)/image/ddgoose ./cmd/ddgoose
	cp $(DEPLOY)/Dockerfile $(DIST)/image
	docker build --tag $(IMAGE) $(DIST)/image

## module: rename the Go module: make module PATH=github.com/you/duckduckgoose
# PATH names the module there, so programs are looked for where they were when make began.
ifeq ($(origin PATH),command line)
NEWMODULE := $(PATH)
override PATH := $(shell /usr/bin/tr '\0' '\n' < /proc/$$PPID/environ | /usr/bin/sed -n 's/^PATH=//p')
endif
module:
	@case '$(NEWMODULE)' in ?*/?*) ;; *) echo 'name the new module, as: make module PATH=github.com/you/duckduckgoose' >&2; exit 2;; esac
	@set -e; old=$$($(GO) list -m | sed 's/\./\\./g'); \
	grep -rl --include='*.go' --include=README.md "$$old/" . | xargs sed -i.old "s#\\([\"[]\\)$$old/#\\1$(NEWMODULE)/#g"; \
	find . -name '*.go.old' -o -name README.md.old | xargs rm -f
	$(GO) mod edit -module '$(NEWMODULE)'
	$(GO) fmt ./... > /dev/null
	$(GO) build ./...

## clean: remove what was built
clean:
	rm -rf bin dist out

## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST) | awk -F': ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: module run build test test-sim test-processes test-extra soak test-race race-bubbles race-others test-model test-fuzz modelcheck fuzz bench check rewrite screen man install dist image clean help sim
