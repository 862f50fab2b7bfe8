"""Measures the lab on a GPU with one command, within nine minutes.

    python -m benchmarks.gpu --out FOLDER [--device cuda] [--quick] [--minutes M] [--parts NAME,...]

The parts run in the order of the table below, each in a process of its own. FOLDER receives three files: all rows
(results.jsonl), all output (log.txt), and the tables (summary.md), which are printed too. The exit code is 1 unless all
parts ended well. `--device cpu --quick` runs every part with tiny sizes on a CPU in a minute or two, which checks the
script and measures nothing; CI does so (`make gpu-quick`).
"""

import argparse
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.gpu.plan import LOG, RESULTS, SUMMARY
from benchmarks.gpu.runner import Part, run_parts
from benchmarks.gpu.summary import machine, summary

PARTS = (
    Part("tests", "benchmarks.gpu.suite", 120),
    Part("ceilings", "benchmarks.gpu.ceilings", 20),
    Part("step", "benchmarks.gpu.step", 150, elastic=True),
    Part("memory", "benchmarks.gpu.memory", 35),
    Part("small", "benchmarks.gpu.small", 60),
    Part("stacked", "benchmarks.gpu.stacked", 40, elastic=True),
    Part("decoding", "benchmarks.gpu.decoding", 65),
    Part("study", "benchmarks.gpu.study", 45, elastic=True),
)
"""The limits add up to less than nine minutes; elastic parts also get what earlier ones left over."""
MINUTES = 9.0
QUICK_SECONDS = 180.0
"""The limit of every part with --quick: a part takes seconds, and many times that on a busy machine."""
ENDING_SECONDS = 5.0
"""Time kept for the summary."""
assert sum(part.seconds for part in PARTS) + ENDING_SECONDS <= 60 * MINUTES


def main() -> int:
    """Runs the parts, writes and prints the summary, and returns the exit code."""
    begin = time.time()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--minutes", type=float, help=f"time for all parts; by default {MINUTES:g}, more with --quick")
    parser.add_argument("--parts", default=",".join(part.name for part in PARTS))
    options = parser.parse_args()
    names = options.parts.split(",")
    if unknown := set(names) - {part.name for part in PARTS}:
        parser.error(f"--parts {options.parts}: no part is called {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the part that runs is ended too
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name in (RESULTS, LOG, SUMMARY):
        (folder / name).unlink(missing_ok=True)
    facts = machine(options.device)
    parts = [part for part in PARTS if part.name in names]
    minutes = options.minutes or MINUTES
    if options.quick:
        parts = [replace(part, seconds=QUICK_SECONDS) for part in parts]
        minutes = options.minutes or len(parts) * QUICK_SECONDS / 60
    seconds = 60 * minutes - ENDING_SECONDS - (time.time() - begin)
    endings = run_parts(parts, folder, options.device, options.quick, seconds, lambda line: print(line, flush=True))
    text = summary(facts, endings, folder)
    (folder / SUMMARY).write_text(text, encoding="utf-8")
    print(f"\n{text}", flush=True)
    return int(any(ending.status != "ok" for ending in endings))


if __name__ == "__main__":
    sys.exit(main())
