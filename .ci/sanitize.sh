#!/usr/bin/env bash
# Runs the tests of the C core on a build of it under AddressSanitizer and
# UndefinedBehaviorSanitizer. Usage: .ci/sanitize.sh PYTHON, the interpreter of a
# virtual environment that ftvm and its `test` extra are installed in.
set -euo pipefail

python=${1:?usage: .ci/sanitize.sh PYTHON}
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" -m pip install --quiet --no-deps --target "$scratch/site" \
  -C cmake.define.FTVM_SANITIZE=ON -C build-dir="$scratch/build" "$root"

# The runtime must be loaded before Python; leaks are Python's own at its exit.
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export PYTHONPATH=$scratch/site

cd "$root"
"$python" -P -c "import ftvm, sys; sys.exit(not ftvm.__file__.startswith('$scratch'))"
"$python" -P -m pytest -q tests/replay tests/property/test_count_oracle.py \
  tests/unit/test_serial_ports.py tests/unit/test_core_ticks.py \
  tests/property/test_device_properties.py tests/property/test_device_counter_model.py \
  --ignore tests/replay/test_debian_guests.py
