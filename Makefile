# Assay. Without make: .ci/install, then .venv/bin/assay demo (or up); .ci/install dev, then .ci/test.
#
#   make demo [IPFS=/ip4/127.0.0.1/tcp/5001] [BROKER=redis://127.0.0.1:6379/0]
#   make up   [DATA=assay-data] [PORT=5000] [IPFS=...] [BROKER=...]
#   make test [ARGS="-k guard"]
#   make fuzz [PART=chain] [SEED=1] [N=1000000] [REQUESTS=10000] [JOBS=2] [AT=4711] [ANEW=1]
#
# PYTHON=... names the interpreter of the virtual environment (3.11 or later).
IPFS ?=
BROKER ?=
DATA ?=
PORT ?=
ARGS ?=
PART ?=
SEED ?=
N ?=
REQUESTS ?=
JOBS ?=
AT ?=
ANEW ?=
SERVICES = $(if $(IPFS),--ipfs '$(IPFS)') $(if $(BROKER),--broker '$(BROKER)')

FUZZ = $(PART) $(if $(SEED),--seed $(SEED)) $(if $(N),--inputs $(N)) $(if $(REQUESTS),--requests $(REQUESTS)) \
	$(if $(JOBS),--jobs $(JOBS)) $(if $(AT),--at $(AT)) $(if $(ANEW),--anew)

.PHONY: help install dev demo up test fuzz clean

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

fuzz: dev
	@.venv/bin/python -m tests.fuzz $(FUZZ)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
