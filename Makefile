# Assay. Without make: .ci/install, then .venv/bin/assay demo (or up); .ci/install dev, then .ci/test.
#
#   make demo [IPFS=/ip4/127.0.0.1/tcp/5001] [BROKER=redis://127.0.0.1:6379/0]
#   make up   [DATA=assay-data] [PORT=5000] [IPFS=...] [BROKER=...]
#   make test [ARGS="-k guard"]
#
# PYTHON=... names the interpreter of the virtual environment (3.11 or later).
IPFS ?=
BROKER ?=
DATA ?=
PORT ?=
ARGS ?=
SERVICES = $(if $(IPFS),--ipfs '$(IPFS)') $(if $(BROKER),--broker '$(BROKER)')

.PHONY: help install dev demo up test clean

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p; /^IPFS/q' Makefile

install:
	@PYTHON='$(PYTHON)' sh .ci/install

dev:
	@PYTHON='$(PYTHON)' sh .ci/install dev

demo: install
	@exec .venv/bin/assay demo $(SERVICES)

up: install
	@exec .venv/bin/assay up $(if $(DATA),--data '$(DATA)') $(if $(PORT),--port '$(PORT)') $(SERVICES)

test: dev
	@sh .ci/test $(ARGS)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
