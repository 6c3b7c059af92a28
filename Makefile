.DEFAULT_GOAL := help
.PHONY: help setup there repro advise queue search compare qr verify push pull test test-faults fuzz browser servers quick audit check \
	offline fresh format show lock clean benchmark-advise benchmark-classes benchmark-debian benchmark-emotion \
	benchmark-glue benchmark-label benchmark-scale benchmark-search benchmark-speed benchmark-teacher

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
UNIT ?= parameters
TRIALS ?= 40
SECONDS ?= 60
SEED ?= 0
DATA ?= ../shared/data/emotion
PARALLEL := --numprocesses auto --dist load --maxschedchunk 1
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# The code of this folder, whatever the environment has installed.
POTSTILL := PYTHONPATH="$(CURDIR)/src" python -m potstill

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

# What trains, tests or checks makes the environment first, or brings it up to date. All else takes the one that there is:
# $(VENV), or an active one.
setup: $(VENV)/.ready ## make the virtual environment with known-good versions

there:
	@python -c 'import dvc' 2>/dev/null || { echo "error: no environment is there: make setup, or activate yours" >&2; exit 1; }

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "error: Python 3.11 to 3.13 is needed, try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	@touch $@

repro: setup ## run the pipeline; print the table of models and where the report lies
	dvc repro
	@cat metrics/evaluate/table.md && echo && cat metrics/evaluate/timing.md
	@echo && echo "All there is to know, to open in a browser: $(CURDIR)/metrics/report/index.html"

advise: setup ## recommend a student and what to improve, in minutes, before a full run
	dvc repro prepare
	$(POTSTILL) advise

queue: setup ## run the queued experiments, JOBS=2 at a time; say why one failed
	@$(POTSTILL) queue --jobs $(JOBS)

search: setup ## search for the best student of at most BUDGET, in UNIT=parameters or bytes, with others that share STORAGE
	@$(POTSTILL) search $(if $(BUDGET),--budget $(BUDGET)) --unit $(UNIT) --trials $(TRIALS) $(if $(STORAGE),--storage '$(STORAGE)')

compare: there ## the last run and the experiments of this commit on one page, or those named in EXPS="one another"
	$(POTSTILL) compare $(EXPS)

qr: there ## write the student as a QR code, qr.png
	$(POTSTILL) qr

verify: there ## hash all that DVC keeps here, and clean its cache of what is damaged
	$(POTSTILL) verify

push: there ## push to the DVC remote, or to REMOTE; what is not whole there is replaced (HASH=1: read it all)
	$(POTSTILL) push $(if $(REMOTE),--remote $(REMOTE)) $(if $(HASH),--hash)

pull: there ## pull from the DVC remote, or from REMOTE, and verify
	dvc pull $(if $(REMOTE),--remote $(REMOTE)); pulled=$$?; $(POTSTILL) verify && exit $$pulled

test: setup tests/js/node_modules browser ## run all tests
	python -m pytest -rs $(PARALLEL)

test-faults: setup servers ## kill, break, fill up and serve the real thing: fifty minutes
	python -m pytest -rs -m faults

tests/js/node_modules: tests/js/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/js --ignore-scripts --no-audit --no-fund; \
		else echo "note: without Node.js and npm, the tests of JavaScript are skipped"; fi

browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver; \
		else echo "note: without Chromium and its driver, the tests of the page are skipped"; fi; }

# Installed, not started: policy-rc.d is how Debian is told so.
servers: $(VENV)/.servers
	@{ test -x /usr/sbin/sshd && test -d /usr/lib/postgresql && command -v rclone && command -v java; } >/dev/null || { \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			policy=/usr/sbin/policy-rc.d; test -e $$policy || { \
				trap "rm -f $$policy" EXIT; printf '#!/bin/sh\nexit 101\n' > $$policy; chmod +x $$policy; }; \
			apt-get update -qq && \
				DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
					openssh-server rclone postgresql default-jre-headless; \
		else echo "note: the tests of what is missing of sshd, rclone, PostgreSQL and Java are skipped"; fi; }

$(VENV)/.servers: $(VENV)/.ready
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev,faults]'
	@touch $@

fuzz: setup ## forge model files for SECONDS=60 from SEED=0 on; ASAN=1: with a kernel that GCC's sanitizers watch
	python tests/fuzz.py --seconds $(SECONDS) --seed $(SEED) $(if $(ASAN),--asan)

quick: setup ## run the unit tests, in under a minute
	python -m pytest -m "not slow" $(PARALLEL)

check: setup ## lint, check types and docstrings
	ruff check --no-cache .
	ruff format --check .
	mypy

audit: ## ask PyPI for known vulnerabilities of the pinned versions, CUDA's included
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(VENV)/audit/bin/pip-audit --disable-pip --no-deps --strict --ignore-vuln PYSEC-2026-2447 -r constraints.txt  # README: Security

offline: setup tests/js/node_modules ## write the template with which `dvc plots` draws without a network
	python tests/offline.py

fresh: there ## check that dvc.lock belongs to the code and the parameters
	python tests/fresh.py

format: there ## format the code
	ruff check --fix .
	ruff format .

show: there ## one row per experiment
	dvc exp show --hide-workspace --only-changed --drop '.*(/|models|timing|plots|rounding|export|traits|cost|ablate|report|truncated)'

lock: ## write the versions of this environment to constraints.txt, and of what PyPI's torch brings on Linux
	{ echo '# Known-good versions, written by `make lock`.'; \
	  $(VENV)/bin/python -m pip freeze --exclude-editable | sed -E 's/\+cpu$$//'; } > constraints.txt
	$(VENV)/bin/python tests/lock.py

benchmark-advise: DATA = ../shared/data
benchmark-advise: setup ## `make advise` on Emotion, SST-2 and CoLA, in the folder DATA
	python benchmarks/advise.py --data $(DATA)

benchmark-classes: setup ## time and memory of every stage for 10, 100 and 1,000 classes
	python benchmarks/classes.py

benchmark-debian: setup ## 52 classes, and several labels per text: what the packages of Debian say of themselves
	python benchmarks/debian.py

benchmark-emotion: setup ## the article's experiment on the Emotion tweets in DATA
	python benchmarks/emotion.py --data $(DATA)

benchmark-glue: DATA = ../shared/data
benchmark-glue: setup ## SST-2 and CoLA, in the folder DATA
	python benchmarks/glue.py --data $(DATA)

benchmark-label: setup ## labelling speed against the pipeline of transformers, on unlabelled texts in DATA
	python benchmarks/label.py --data $(DATA)/unlabeled/carer_balanced.txt

benchmark-scale: setup ## time and memory from ten thousand to ten million unlabelled texts
	python benchmarks/scale.py

benchmark-search: setup ## `make search` on the Emotion tweets in DATA, for one QR code
	python benchmarks/search.py --data $(DATA)

benchmark-speed: setup ## texts per second next to fastText, model2vec and others, on the Emotion tweets in DATA
	python benchmarks/speed.py --data $(DATA)

benchmark-teacher: setup ## fine-tuning speed against the stock Trainer, on the train file in DATA
	python benchmarks/teacher.py --data $(DATA)

clean: ## remove the virtual environment and scratch files
	rm -rf $(VENV) .potstill benchmarks/.work
