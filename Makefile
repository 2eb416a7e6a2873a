# The whole project by name: `make help`. Needs Python 3.11 or newer, nothing else; all of it stays in .venv and .data.

PYTHON ?= python3
PORT ?= 8000
EVENTS_PORT ?= $(shell expr $(PORT) + 1)
DATA ?=
ARGS ?=
# Test processes, each with servers of its own; a file's tests stay together.
TESTERS ?= 2

VENV := .venv/bin/python
# One stamp per content of the pins: packages are installed when a pin has changed, and only then.
RUN_PINS := .venv/pins-$(shell cat requirements.txt | cksum | cut -d ' ' -f 1)
DEV_PINS := .venv/dev-pins-$(shell cat requirements.txt requirements-dev.txt requirements-bench.txt | cksum | cut -d ' ' -f 1)
INSTALL := PIP_DISABLE_PIP_VERSION_CHECK=1 $(VENV) -m pip install --quiet --no-input

.PHONY: help run demo test soak bench lint clean
.DEFAULT_GOAL := help

help: ## say what each target does
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

run: $(RUN_PINS) ## start everything here until Ctrl-C; PORT=8080 chooses the port, live updates have the next
	@$(VENV) manage.py up --port $(PORT) --events-port $(EVENTS_PORT)

demo: $(RUN_PINS) ## show it at work, step by step; DATA=file.csv.gz brings orders of your own
	@$(VENV) manage.py demo $(if $(DATA),--data $(DATA))

test: $(DEV_PINS) ## run all tests; ARGS="-k name" chooses
	@# Without a browser, or curl, its tests fail, and say why; the others still run.
	@tests/browser/install.sh >/dev/null || true
	@tests/acceptance/install.sh >/dev/null || true
	@bench/install.sh >/dev/null || true
	@$(VENV) -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder $(ARGS)

soak: $(DEV_PINS) ## put the system under every fault, and the API under 5,000 requests; tests run a short form
	@SOAK=1 $(VENV) -m pytest tests/faults tests/integration/test_http_schema.py $(ARGS)

bench: $(DEV_PINS) ## measure against what else one could use; ARGS=read_by_id chooses; writes docs/benchmarks.md
	@bench/install.sh
	@$(VENV) -m bench $(ARGS)

lint: $(DEV_PINS) ## check style, types and the fingerprints of read models
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy .
	@$(VENV) manage.py readmodels fingerprints --check

clean: ## remove the virtual environment, and the data, of this folder
	rm -rf .venv .data .pytest_cache .mypy_cache .ruff_cache .hypothesis staticfiles

$(RUN_PINS): | $(VENV)
	@echo "Installing the pinned packages into .venv: once, about a minute ..."
	@rm -f .venv/pins-* .venv/dev-pins-*
	@$(INSTALL) -r requirements.txt
	@touch $@

$(DEV_PINS): $(RUN_PINS)
	@echo "Installing the pinned development tools into .venv ..."
	@rm -f .venv/dev-pins-*
	@$(INSTALL) -r requirements-dev.txt -r requirements-bench.txt
	@touch $@

$(VENV):
	@command -v $(PYTHON) >/dev/null || \
	  { echo "There is no $(PYTHON) here; install Python 3.11 or newer, or name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$$($(PYTHON) --version 2>&1) is too old: 3.11 or newer is needed; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) can't make virtual environments; on Debian or Ubuntu: apt install python3-venv" >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 2; }
