#!/usr/bin/env bash
# Train recipes under the full profile, each within a time limit, and leave weights, samples and a table in a folder.
#
#     benchmarks/full_profile.sh OUT MINUTES RECIPE [RECIPE ...]
#
# For a machine with an accelerator. What does not finish in MINUTES is stopped and continues at the next call from its checkpoint in OUT.
# PYTHON=... chooses the interpreter (.venv/bin/python unless set). The shipped weights are not touched.
set -euo pipefail
if [ "$#" -lt 3 ]; then
    sed -n '2,8p' "$0"
    exit 2
fi
out=$1 minutes=$2
shift 2
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$here/.venv/bin/python}
mkdir -p "$out"
export AIGC_PROFILE=full PYTHONPATH=$here
for name in "$@"; do
    echo "== $name"
    "$python" "$here/benchmarks/full_profile.py" "$out" "$minutes" "$name"
done
cat "$out"/table.md
