# Reeve's everyday commands. Meson and Ninja do the building, in build/ (and build-asan/,
# build-tsan/, build-fuzz/); this file only names what people ask for. `make help` lists it.

NINJA = ninja --quiet -C

all: build ## build/reeve and all it needs
	@$(NINJA) build
	@if [ -x build/src/cli/bin/reeve ]; then ln -sfn src/cli/bin/reeve build/reeve; fi

build build-asan build-tsan build-fuzz:
	@scripts/configure $@

run: ## a cluster on this machine that counts words; ONCE=1 ends by itself
	@ONCE=$(ONCE) scripts/run

test: ## everything: units, sanitizers, checks, simulator, end to end, conformance, fuzzing
	@scripts/install-deps test
	@scripts/test-all

check: ## the quick part of `make test`: units and static checks
	@scripts/install-deps
	@scripts/test-all --quick

bench: all ## the benchmark BENCH=name, or all of them
	@scripts/install-deps bench
	@$(NINJA) build benchmarks
	@scripts/bench $(BENCH)

fuzz: build-fuzz ## each fuzz target for SECONDS=60 seconds, or the one of FUZZ=name
	@$(NINJA) build-fuzz
	@scripts/fuzz --seconds=$(or $(SECONDS),60) $(FUZZ)

sim: all ## the simulated cluster: SEED=n for one seed, MINUTES=n for new seeds
	@build/sim/sim $(if $(SEED),--seed=$(SEED)) $(if $(MINUTES),--minutes=$(MINUTES))

format: ## rewrites our C files as .clang-format says
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

docs: all ## makes the parts of docs/ that come from the program and the tests
	@build/reeve flags >docs/FLAGS.md
	@scripts/compatibility --write
	@scripts/invariants --write

lint: all ## clang-tidy over src/
	@scripts/check-lint

install: all ## below PREFIX (when build/ is set up) and DESTDIR
	@meson install -C build --no-rebuild

clean: ## removes all build folders
	@rm -rf build build-asan build-tsan build-fuzz build-vm

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

.PHONY: all build build-asan build-tsan build-fuzz run test check bench fuzz sim format docs lint install clean help
