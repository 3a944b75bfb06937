#!/bin/sh
# Re-lock every requirement file. `uv` must be on PATH (it is in the development environment).
# One universal resolution for Python 3.11 to 3.13; no index address is written into the files.
set -eu
cd "$(dirname "$0")/.."
lock() {
    output=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
        --no-emit-index-url --no-emit-find-links "$@" --output-file "requirements/$output"
}
lock dev.txt pyproject.toml --extra twin --extra infra --extra pipeline requirements/base.in requirements/dev.in requirements/patient.in requirements/twin-clients.in
lock base.txt pyproject.toml --extra twin --extra infra --extra pipeline requirements/base.in requirements/patient.in --constraints requirements/dev.txt
lock pytest-8.txt requirements/pytest-8.in --no-deps
