"""What importing the course costs over importing torch and torchvision alone.

    python benchmarks/import_time.py [rounds]

Each import is a process of its own; the order changes from round to round.
"""

import statistics
import subprocess
import sys
import time

ALONE = "import torch, torchvision"
COURSE = "import aigc_lessons"
USED = "import aigc_lessons as al; al.data, al.fit, al.models, al.show, al.metrics, al.exercises"


def seconds(code):
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def main(rounds=7):
    for code in (ALONE, COURSE, USED):
        seconds(code)
    times = {code: [] for code in (ALONE, COURSE, USED)}
    for i in range(rounds):
        for code in sorted(times, reverse=i % 2 == 1):
            times[code].append(seconds(code))
    for code in (COURSE, USED):
        ratios = [a / b for a, b in zip(times[code], times[ALONE])]
        print(
            f"{code}\n    / {ALONE}: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}, {rounds} rounds"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
