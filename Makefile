# Everything a contributor needs. `make` lists the targets.

CARGO ?= cargo
FM = $(or $(CARGO_TARGET_DIR),target)/release/fm
RUN ?= runs/demo
# The programs of the notebooks.
PROGRAMS = $(basename $(notdir $(wildcard notebooks-port/src/bin/*.rs)))
# The same default as in .cargo/config.toml.
TORCH = $(or $(LIBTORCH),$(CURDIR)/.libtorch/torch)
LOADER_PATH = $(if $(filter Darwin,$(shell uname -s)),DYLD_LIBRARY_PATH,LD_LIBRARY_PATH)

.DEFAULT_GOAL := help
# The tests of exported files read it from the environment.
FM_PYTHON ?= $(wildcard $(CURDIR)/.python/bin/python)
ifneq ($(FM_PYTHON),)
export FM_PYTHON
endif

.PHONY: help setup libtorch python build demo test check wheel wheel-test licences fuzz schema golden gpu-tests pages \
    bench speed soak audit doc clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## download libtorch to .libtorch, and MovieLens-100K for the demo
	@sh scripts/setup.sh

libtorch:
	@sh scripts/setup.sh --no-data

python: ## install PyTorch, ONNX Runtime and CMake into .python, for the tests of exported files
	@sh scripts/python.sh

build: libtorch ## build the program: target/release/fm
	$(CARGO) build --release --workspace

demo: setup ## train, evaluate and export DeepFM on MovieLens-100K (in runs/demo), and recommend films
	@echo '# 1. Build the program.'
	$(CARGO) build --release --workspace
	@echo '# 2. Download MovieLens-100K if it is missing.'
	$(FM) data download ml-100k
	@echo '# 3. Train a DeepFM that predicts ratings.'
	$(FM) train --data ml-100k --model deepfm --task regression --run $(RUN) --force
	@echo '# 4. Evaluate it on the test set.'
	$(FM) evaluate $(RUN)
	@echo '# 5. Export it as TorchScript.'
	$(FM) export $(RUN) --output $(RUN)/model.pt
	@echo '# 6. Recommend ten films to user 42.'
	$(FM) recommend $(RUN) --user 42 --top 10

# Executables of doc tests have no rpath. All others must find libtorch by themselves.
# One thread per test: where cores are busy, threads of OpenMP that wait for each other take most of the time.
test: export OMP_NUM_THREADS ?= 1
test: libtorch ## run all tests
	$(CARGO) test --release --workspace --lib --bins --tests --examples
	$(LOADER_PATH)="$(TORCH)/lib$${$(LOADER_PATH):+:$$$(LOADER_PATH)}" $(CARGO) test --release --workspace --doc

check: libtorch ## check format, lints and docs, and with cargo-deny the licences and sources of dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --release --workspace --no-deps
	@if $(CARGO) deny --version >/dev/null 2>&1; then set -x; $(CARGO) deny --offline check bans licenses sources; \
	else echo 'cargo-deny is not installed: skipped the licences and sources of dependencies'; fi

wheel: build ## pack the program and the Python module into a wheel in dist, for pip install without Rust (Linux)
	@sh scripts/wheel.sh

# OPTIONS=--download installs PyTorch as a user would, instead of using that of `make python`.
wheel-test: wheel ## install the wheel into a new environment, and train, export, load and score with it
	@sh scripts/wheel-test.sh dist/fm_torch-*.whl $(OPTIONS)

licences: ## write the licences of all dependencies into THIRD-PARTY-LICENSES; the wheel contains them, too
	@python3 scripts/licences.py THIRD-PARTY-LICENSES

# Seconds for each target of the fuzzer and for the soak, and the targets.
SECONDS ?= 600
TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
# The inputs are small, and so is what reading one needs. Temporary files are in memory where they can be.
FUZZ = -max_len=4096 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 -use_value_profile=1

fuzz: libtorch ## search inputs that a reader of outside data does not withstand (requires nightly and cargo-fuzz)
	FM_FUZZ_SEEDS=$(CURDIR)/fuzz/seeds $(CARGO) test --release --workspace --test replay every_target_accepts
	cp Cargo.lock fuzz/Cargo.lock
	@set -e; if [ -d /dev/shm ]; then export TMPDIR=/dev/shm; fi; export $(LOADER_PATH)="$(TORCH)/lib"; cd fuzz; \
	for target in $(TARGETS); do \
	    echo "$$target"; mkdir -p corpus/$$target; \
	    $(CARGO) +nightly fuzz run --fuzz-dir . -s none $$target corpus/$$target seeds/$$target -- \
	        $(FUZZ) -max_total_time=$(SECONDS) -print_final_stats=1; \
	    $(CARGO) +nightly fuzz cmin --fuzz-dir . -s none $$target corpus/$$target -- $(FUZZ); \
	done

schema: libtorch ## regenerate fm-cli/args/settings.schema.json from the types of the settings
	FM_UPDATE_SCHEMA=1 $(CARGO) test --release --workspace --lib the_command_line_documents

golden: libtorch ## compare layers and models with the original Keras code (FM_GOLDEN_DIR: other golden files)
	$(CARGO) test --release --workspace --test golden -- --nocapture every_case

gpu-tests: libtorch ## pack the tests into gpu-tests.tar.xz, for a machine with a GPU and PyTorch 2.11
	sh scripts/gpu-tests.sh

pages: libtorch ## regenerate the pages of the notebooks (requires MovieLens-100K)
	$(CARGO) build --release --workspace --bins
	@set -e; for program in $(PROGRAMS); do \
	    page=notebooks-port/pages/$$program.md; echo "$$page"; \
	    $(dir $(FM))$$program >$$page.new || { rm -f $$page.new; exit 1; }; mv $$page.new $$page; \
	done

bench: libtorch ## measure each model's training speed and the loss it reaches
	$(CARGO) bench --workspace --bench training

# More options in OPTIONS; `make speed OPTIONS=--help` lists them.
speed: build ## compare whole trainings with other programs, and write docs/performance.md (requires MovieLens-1M)
	python3 benchmarks/speed/speed.py --fm $(FM) $(OPTIONS)

soak: build ## attack `fm serve` on this machine, and load it for ten minutes (SECONDS: how long)
	python3 benchmarks/serve/hostile.py --fm $(FM)
	python3 benchmarks/serve/soak.py --fm $(FM) --seconds $(SECONDS)

audit: ## check dependencies for security advisories (requires cargo-deny and a network)
	$(CARGO) deny check advisories

doc: libtorch ## build the API documentation into target/doc
	$(CARGO) doc --release --workspace --no-deps

clean: ## remove build output, but keep libtorch
	$(CARGO) clean
