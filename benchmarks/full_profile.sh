#!/usr/bin/env bash
# Train recipes under the full profile, each within a time limit, and leave weights, samples and a table in a folder.
#
#     benchmarks/full_profile.sh OUT MINUTES RECIPE [RECIPE ...]
#
# For a machine with an accelerator. What does not finish in MINUTES is stopped and continues at the next call from its checkpoint in OUT.
# PYTHON=... chooses the interpreter (.venv/bin/python unless set); AIGC_PROFILE=smoke tries it on a CPU in seconds. The shipped weights are
# not touched. Recipes are those of `aigc-lessons train`, and flow-emoji-64: emoji at 64x64, sized for ten minutes of one GPU.
set -euo pipefail
if [ "$#" -lt 3 ]; then
    sed -n '2,9p' "$0"
    exit 2
fi
out=$1 minutes=$2
shift 2
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$here/.venv/bin/python}
mkdir -p "$out"
export AIGC_PROFILE=${AIGC_PROFILE:-full} PYTHONPATH=$here
for name in "$@"; do
    echo "== $name"
    "$python" "$here/benchmarks/full_profile.py" "$out" "$minutes" "$name"
done
cat "$out"/table.md
