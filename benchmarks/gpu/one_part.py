"""Runs one part in this process; `benchmarks.gpu.runner` calls it."""

import argparse
from importlib import import_module
from pathlib import Path

from benchmarks.gpu.plan import Plan


def main() -> None:
    """Imports the module of a part and calls its `measure`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part")
    parser.add_argument("module")
    parser.add_argument("folder", type=Path)
    parser.add_argument("device")
    parser.add_argument("deadline", type=float)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    plan = Plan(options.part, options.folder, options.device, options.quick, options.deadline)
    import_module(options.module).measure(plan)


if __name__ == "__main__":
    main()
