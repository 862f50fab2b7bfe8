"""Checks the runs that a study will train: their specs, their networks, and the study's own metric."""

from collections.abc import Mapping
from functools import partial
from itertools import combinations

from generators.foundation.errors import UserError
from generators.foundation.settings import suggestion
from generators.table import build_task
from lab.run.evaluation import SHORTCUT_SCORES
from lab.run.finetuning import meta_network
from lab.run.spec import RunSpec
from studies.declared.checks.measures import check_measure
from studies.declared.claims.claim import Claim
from studies.declared.claims.comparison import Comparison
from studies.declared.claims.guarded import attempted, comparison_of
from studies.declared.levels import Level
from studies.declared.measures import SOLVING, STEPS_TO_SOLVE, form_of, main_measure, measure_of
from studies.declared.study import Cell, Study
from studies.statistics.effects import WeightedMeans
from studies.statistics.forms.shares import SHARES, TWO_ARMS

NETWORKS_MAXIMUM = 200
"""Networks that are built; of more, those of cells that cover every pair of levels."""


def check_runs(study: Study) -> None:
    """Builds the spec of every cell and the networks, on the meta device, and checks the metrics on them.

    Raises:
        UserError: a cell cannot run, or its runs will not have a metric.
    """
    declaration, source = study.declaration, study.source
    main = main_measure(declaration)
    specs = check_specs(study, study.cells)
    different = {network_settings(spec): cell for cell, spec in reversed(specs.items())}
    cells = list(reversed(different.values()))
    for cell in cells if len(cells) <= NETWORKS_MAXIMUM else covering(cells, 2):
        network, task = meta_network(specs[cell], f"{source}, cell {cell.label}"), build_task(specs[cell].task)
        if declaration.shortcut is not None and declaration.shortcut not in task.shortcuts:
            near = suggestion(declaration.shortcut, list(task.shortcuts))
            raise UserError(f"{source}: shortcut = {declaration.shortcut!r}: the task has no such shortcut; {near}")
        check_measure(main, task, network, f"{source}: ")
        if main.metric in SOLVING:
            raise UserError(
                f"{source}: metric = {main.metric!r}: only a claim can use it; give accuracy or exact here, which "
                "solved_at is a value of"
            )
        if main.analysis:
            raise UserError(
                f"{source}: metric = {main.metric!r}: only a claim can use a measure of an analysis, because tuning "
                "reads validation; give a score or a loss"
            )
    if declaration.shortcut is not None and declaration.metric not in SHORTCUT_SCORES:
        raise UserError(
            f"{source}: shortcut = {declaration.shortcut!r}: a shortcut has the scores "
            f"{' and '.join(SHORTCUT_SCORES)}, and the study has metric = {declaration.metric!r}; leave it out"
        )
    labelled = {cell.label: specs[cell] for cell in study.cells}
    for claim in declaration.claims:
        if (measure := measure_of(declaration, claim)) != main:
            comparison = attempted(claim, partial(comparison_of, claim, study))
            cells_compared = [] if isinstance(comparison, str) else comparison.cells
            if measure.is_share and not isinstance(comparison, str):
                check_share_margin(study, claim, comparison)
            if measure.metric == STEPS_TO_SOLVE:
                check_equal_steps(f"{source}: claims.{claim.name}", {cell: labelled[cell] for cell in cells_compared})
            for label in cells_compared:
                task, network = build_task(labelled[label].task), meta_network(labelled[label])
                check_measure(measure, task, network, f"{source}: claims.{claim.name}.")


def check_share_margin(study: Study, claim: Claim, comparison: Comparison) -> None:
    """Refuses a margin, or `negligible`, of a claim about shares that is tested by exchanging runs.

    Such a test shifts scores by it, and a shifted 0 or 1 is the outcome of no run: with five runs of five
    against none it would show that shares differ by more than 0.99.

    Raises:
        UserError: the claim has one of the two and does not compare two shares at a time.
    """
    effect, form = comparison.effect, form_of(study.declaration, claim, comparison)
    pairwise = form is SHARES and (not isinstance(effect, WeightedMeans) or effect.weights in TWO_ARMS)
    for key, bound in (("margin", claim.margin), ("negligible", claim.negligible)):
        if bound is not None and not pairwise:
            raise UserError(
                f"{study.source}: claims.{claim.name}.{key} = {bound:zg}: {claim.effect_name} of shares has no "
                "exact test of a margin; leave it out, or compare two arms at a time"
            )


def check_equal_steps(where: str, specs: Mapping[str, RunSpec]) -> None:
    """Refuses a claim about `steps_to_solve` if a run that does not solve its task would count with more steps in one
    cell than in another.

    Args:
        where: file and claim, named in the error.
        specs: cell label -> the spec of one of its runs.

    Raises:
        UserError: the cells have different numbers of steps.
    """
    steps = {label: spec.training.steps for label, spec in specs.items()}
    if len(set(steps.values())) > 1:
        listed = ", ".join(f"{count} in {label}" for label, count in steps.items())
        raise UserError(
            f'{where}.metric = "{STEPS_TO_SOLVE}": a run that does not solve its task counts with all its steps, which '
            f"differ: {listed}; compare cells of equal training.steps, or cells of equal operations by budget_to_solve"
        )


def check_specs(study: Study, cells: list[Cell]) -> dict[Cell, RunSpec]:
    """Returns the specs of cells, with tuned settings in the middle of their ranges.

    Raises:
        UserError: a cell is not a valid spec, or two cells are the same run.
    """
    specs = {cell: study.spec(cell, study.middle, 0) for cell in cells}
    seen: dict[str, Cell] = {}
    for cell, spec in specs.items():
        same = seen.setdefault(repr(spec), cell)
        if same is not cell:
            raise UserError(
                f"{study.source}: cells {same.label} and {cell.label} are the same run: levels of equal content; "
                "leave one out"
            )
    return specs


def covering(cells: list[Cell], together: int) -> list[Cell]:
    """Chooses cells that together have every combination of `together` levels that occurs in any cell."""
    seen: set[tuple[tuple[str, Level], ...]] = set()
    chosen = []
    for cell in cells:
        groups = set(combinations(cell.levels, min(together, len(cell.levels))))
        if not groups <= seen:
            seen |= groups
            chosen.append(cell)
    return chosen


def network_settings(spec: RunSpec) -> str:
    """Returns the settings that determine a run's network; specs with the same settings differ only in training."""
    start = spec.start and (spec.start.freeze, network_settings(spec.start.run))
    return repr((spec.task, spec.model, spec.objective, start))
