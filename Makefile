# Everything a contributor needs. `make` lists it.

CARGO ?= cargo
FM = $(or $(CARGO_TARGET_DIR),target)/release/fm
RUN ?= runs/demo
# The notebooks' programs.
PROGRAMS = $(basename $(notdir $(wildcard notebooks-port/src/bin/*.rs)))
# Where .cargo/config.toml looks, too.
TORCH = $(or $(LIBTORCH),$(CURDIR)/.libtorch/torch)
LOADER_PATH = $(if $(filter Darwin,$(shell uname -s)),DYLD_LIBRARY_PATH,LD_LIBRARY_PATH)

.DEFAULT_GOAL := help
# The tests of exported files take it from the environment.
FM_PYTHON ?= $(wildcard $(CURDIR)/.python/bin/python)
ifneq ($(FM_PYTHON),)
export FM_PYTHON
endif

.PHONY: help setup libtorch python build demo test check golden gpu-tests pages bench audit doc clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## fetch libtorch to .libtorch, and MovieLens 100K for the demo
	@sh scripts/setup.sh

libtorch:
	@sh scripts/setup.sh --no-data

python: ## fetch PyTorch, ONNX Runtime and CMake to .python, for the tests of exported files
	@sh scripts/python.sh

build: libtorch ## build the program: target/release/fm
	$(CARGO) build --release --workspace

demo: setup ## train, evaluate, export and ask a DeepFM on MovieLens 100K; the run goes to runs/demo
	@echo '# 1. Build the program.'
	$(CARGO) build --release --workspace
	@echo '# 2. Fetch MovieLens 100K, unless it is there.'
	$(FM) data download ml-100k
	@echo '# 3. Train a DeepFM that predicts ratings.'
	$(FM) train --data ml-100k --model deepfm --task regression --run $(RUN) --force
	@echo '# 4. Measure it on the test set.'
	$(FM) evaluate $(RUN)
	@echo '# 5. Export it as TorchScript, with its vocabularies.'
	$(FM) export $(RUN) --output $(RUN)/model.pt
	@echo '# 6. Recommend ten films to user 42.'
	$(FM) recommend $(RUN) --user 42 --top 10

# The doc tests' executables have no rpath; all others must find libtorch by themselves.
test: libtorch ## run all tests
	$(CARGO) test --release --workspace --lib --bins --tests --examples
	$(LOADER_PATH)="$(TORCH)/lib$${$(LOADER_PATH):+:$$$(LOADER_PATH)}" $(CARGO) test --release --workspace --doc

check: libtorch ## check format, lints and docs; with cargo-deny, licences and sources of dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --release --workspace --no-deps
	@if $(CARGO) deny --version >/dev/null 2>&1; then set -x; $(CARGO) deny check bans licenses sources; \
	else echo 'cargo-deny is not installed: licences and sources of dependencies were not checked'; fi

golden: libtorch ## compare layers and models with the numbers of the original Keras code (FM_GOLDEN_DIR: another folder of them)
	$(CARGO) test --release --workspace --test golden -- --nocapture every_case

gpu-tests: libtorch ## pack the tests for a machine with a GPU and PyTorch 2.11: gpu-tests.tar.xz
	sh scripts/gpu-tests.sh

pages: libtorch ## write the notebooks' pages anew, from what the programs print; MovieLens 100K must be there
	$(CARGO) build --release --workspace --bins
	@set -e; for program in $(PROGRAMS); do \
	    page=notebooks-port/pages/$$program.md; echo "$$page"; \
	    $(dir $(FM))$$program >$$page.new || { rm -f $$page.new; exit 1; }; mv $$page.new $$page; \
	done

bench: libtorch ## measure how fast each model trains, and what it learns meanwhile
	$(CARGO) bench --workspace --bench training

audit: ## look for advisories against dependencies (needs cargo-deny and the network)
	$(CARGO) deny check advisories

doc: libtorch ## build the crates' documentation: target/doc
	$(CARGO) doc --release --workspace --no-deps

clean: ## remove what was built, but not libtorch
	$(CARGO) clean
