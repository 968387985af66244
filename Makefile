# make run    install, initialise on the first run, serve; prints how to connect
# make test   everything CI checks: `make check`, then the whole suite in parallel
# make check  ruff, strict mypy, import layers, dependencies, documents against the code
# make bench  side by side with Dovecot and Postfix; writes the figures to docs/performance.md
# make screenshots  the pictures of the dashboard in docs/screenshots, made anew
# make soak   the long forms of the fault and property tests
#
# PYTHON=/path/to/python3.12 picks the interpreter, VENV=… where it is installed,
# ARGS=… is handed on: make run ARGS='--config /etc/gateway/config.toml', make test ARGS='-k idle'.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
VENV ?= .venv
ARGS ?=
# Tests wait for timers and other processes half of their time: two more than there are cores run at once, as far as
# tests/servers/process.py has ports for them. `make test JOBS=1` for a quiet run.
JOBS ?= $(shell n=$$(expr $$(getconf _NPROCESSORS_ONLN) + 2); echo $$((n < 12 ? n : 12)))

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
NODE := tests/clients/node
CORPORA := $(VENV)/corpora
# Packages that ship mail to test with; only their archives are fetched, nothing of them is installed or run.
MAIL_SDISTS := flufl.bounce==6.0.0
MAIL_NPM := wildduck@1.46.1
# Debian's Cyrus conflicts with its Dovecot: it is unpacked, and never installed.
CYRUS := $(VENV)/cyrus
PROGRAMS := $(NODE)/node_modules/.installed $(CORPORA)/.installed $(CYRUS)/.installed
LAYERS := tests/test_layers.py tests/test_documents.py tests/test_dependencies.py tests/unit/config/test_config_documents.py

# Bytecode is kept, whatever an image of Python says: what is started often is compiled once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check compiled bench screenshots soak install clean help
.DEFAULT_GOAL := help

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

# Stamps: what is installed is installed again only when what asks for it changed.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No python3.11 or newer was found; name one: make run PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than Python 3.11; name a newer one: make run PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null \
	  || { echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv "$(VENV)"

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt --editable .
	@touch $@

$(VENV)/.installed-tests: pyproject.toml constraints.txt $(VENV)/.installed
	$(PIP) install -c constraints.txt --editable '.[test]'
	@touch $@

$(NODE)/node_modules/.installed: $(wildcard $(NODE)/package.json)
	@if [ ! -f $(NODE)/package.json ]; then mkdir -p $(@D); \
	elif command -v npm >/dev/null; then cd $(NODE) && npm install --no-package-lock --no-audit --no-fund --ignore-scripts; \
	else echo "npm is not installed: the Node clients are skipped" >&2; exit 0; fi
	@mkdir -p $(@D) && touch $@

$(CORPORA)/.installed: Makefile | $(BIN)/python
	@mkdir -p $(@D) && rm -f $(@D)/*.tar.gz $(@D)/*.tgz
	$(PIP) download --no-deps --no-binary flufl.bounce --dest $(@D) $(MAIL_SDISTS)
	@if command -v npm >/dev/null; then npm pack --silent --pack-destination $(@D) $(MAIL_NPM); \
	else echo "npm is not installed: wildduck's mail is missing, and what needs it is skipped" >&2; fi
	@touch $@

$(CYRUS)/.installed: tests/servers/unpack.sh | $(BIN)/python
	@rm -rf $(@D)
	@if ! command -v apt-get >/dev/null; then echo "apt-get is missing, so Cyrus is, and what needs it is skipped" >&2; \
	elif $< $(@D) cyrus-common cyrus-imapd; then touch $@; \
	else rm -rf $(@D); echo "Cyrus cannot be had (apt-get update?), and what needs it is skipped" >&2; fi

install: $(VENV)/.installed

run: $(VENV)/.installed
	@exec $(BIN)/gateway serve --init $(ARGS)

check: $(VENV)/.installed-tests
	$(BIN)/ruff check gateway tests bench
	$(BIN)/mypy
	$(BIN)/pytest -q -p no:cacheprovider $(LAYERS)

# What `check` has run is not run again. What it needs one core for leaves time for the rest.
test: $(VENV)/.installed-tests
	@$(MAKE) --no-print-directory -j4 check $(if $(ARGS),,compiled) $(PROGRAMS)
	$(BIN)/pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder $(or $(ARGS),$(LAYERS:%=--ignore=%))

# The tests and the product as bytecode, once: each process of the suite would make it for itself.
# Files that cannot be collected are for the suite to tell of.
compiled: $(VENV)/.installed-tests
	@$(BIN)/pytest -q -p no:cacheprovider --collect-only >/dev/null 2>&1 || true

bench: $(VENV)/.installed-tests
	$(BIN)/python -m bench $(ARGS)

screenshots: $(VENV)/.installed-tests $(NODE)/node_modules/.installed
	$(BIN)/python -m tests.screenshots docs/screenshots

soak: $(VENV)/.installed-tests $(PROGRAMS)
	GATEWAY_SOAK=1 $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

clean:
	rm -rf "$(VENV)" build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis $(NODE)/node_modules
