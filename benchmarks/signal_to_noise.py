"""Prints the signal to noise of every measure in the published studies of the collection `paper`, at scale cpu.

    python -m benchmarks.signal_to_noise

The archives of reports/published are unpacked into a temporary home. The table is that of docs/statistics.md.
"""

import tempfile
from pathlib import Path

from lab.run.evaluation import SCORES
from reports.drawing.tables import MISSING_VALUE
from reports.exhibits.study.method.signal_to_noise import ratio_value
from reports.frames.method.signal_to_noise import LOSS, MeasureSignal, measure_signals
from studies.declared.collection import load_collection
from studies.declared.measures import SOLVED, STEPS_TO_SOLVE
from studies.declared.study import Study
from studies.ledger.archive import unpack
from studies.ledger.declared_study import find_study
from studies.reading.results import Results, read_results

PUBLISHED = Path(__file__).parents[1] / "reports" / "published"
SCALE = "cpu"


def published_results(home: Path) -> list[Results]:
    """Unpacks the published studies of the collection into a home and reads them, in the order of the collection."""
    names = [member.study for member in load_collection("paper").members]
    archives = {name: PUBLISHED / f"{name}-{SCALE}.tar.xz" for name in names}
    results = []
    for name, archive in archives.items():
        if archive.exists():
            unpack(archive, home)
            results.append(read_results(home, find_study(home, name, SCALE)))
    return results


def tasks_of(study: Study) -> str:
    """Returns the kinds of task that the runs of a study have."""
    return ", ".join(sorted({study.spec(cell, study.middle, 0).task.kind for cell in study.cells}))


def ratios_of(signals: list[MeasureSignal]) -> dict[str, str]:
    """Returns the ratio of each metric as text, the highest in bold."""
    texts = {signal.metric: ratio_value(signal).text for signal in signals}
    highest = ratio_value(signals[0]).text
    return {metric: f"**{text}**" if text == highest else text for metric, text in texts.items()}


def print_signals(studies: list[Results]) -> None:
    """Prints one row for each study, with one column for each measure that a study has."""
    signals = [measure_signals(results) for results in studies]
    present = {signal.metric for members in signals for signal in members}
    measures = [metric for metric in (*SCORES, LOSS, SOLVED, STEPS_TO_SOLVE) if metric in present]
    heads = ["study", "task", "split", "arms", "seeds", *measures]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for results, members in zip(studies, signals, strict=True):
        if members:
            study, ratios = results.study, ratios_of(members)
            counts = [str(len(members[0].seeds)), str(min(members[0].seeds))]
            columns = [ratios.get(metric, MISSING_VALUE.text) for metric in measures]
            print(f"| {' | '.join([study.name, tasks_of(study), study.declaration.split, *counts, *columns])} |")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print_signals(published_results(Path(folder)))
