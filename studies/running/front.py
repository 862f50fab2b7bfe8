"""The front of a search: the trials that no other trial dominates, and how it is printed."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from generators.foundation.settings import Tree
from studies.declared.search import label
from studies.ledger.search_records import ProposalRecord, SearchRecord

CAVEAT = "A search explores and judges no claim, because its front is the best of many trials. A study judges claims."


def front(proposals: Sequence[ProposalRecord]) -> Iterator[ProposalRecord]:
    """Yields the trials for which no other trial is better in quality or cost and no worse in the other.

    If trials have equal settings, only the first is on the front.
    """
    scored = [(proposal, proposal.values) for proposal in proposals if proposal.values is not None]
    seen: list[Tree] = []
    for proposal, (quality, cost) in scored:
        better = (pair for _, pair in scored if pair[0] >= quality and pair[1] <= cost and pair != (quality, cost))
        if not any(better) and proposal.settings not in seen:
            seen.append(proposal.settings)
            yield proposal


def proposal_line(proposal: ProposalRecord, cost_kind: str) -> str:
    """Returns a trial that ended, in one line."""
    if proposal.values is None:
        return f"{label(proposal.settings)}: failed ({proposal.failure})"
    quality, cost = proposal.values
    return f"{label(proposal.settings)}: {quality:z.3f}, {cost_text(cost, cost_kind)}"


def cost_text(cost: float, kind: str) -> str:
    """Returns a cost with its unit."""
    return f"{cost:z.3g} s" if kind == "seconds" else f"{cost:z,.0f} parameters"


def front_lines(record: SearchRecord) -> list[str]:
    """Returns the front of a complete search, line by line, with the counts of trials and the caveat."""
    trials = {proposal.number: proposal for proposal in record.trials}
    lines = [f"{record.metric} on test, mean of fresh seeds (lowest to highest); {record.cost}; on validation before"]
    for number in record.front:
        proposal = trials[number]
        scores = [run.quality for run in proposal.confirmed if run.quality is not None]
        costs = [run.cost for run in proposal.confirmed if run.cost is not None]
        if not scores:
            lines.append(f"  every fresh run failed: {label(proposal.settings)}")
            continue
        failed = len(proposal.confirmed) - len(scores)
        lines.append(
            f"  {fmean(scores):z.3f} ({min(scores):z.3f} to {max(scores):z.3f})  {cost_text(fmean(costs), record.cost)}"
            f"  {proposal.quality:z.3f}  {label(proposal.settings)}" + (f"  ({failed} failed)" if failed else "")
        )
    lines.append(
        f"{len(record.trials)} trials: {len(record.front)} on the front, {record.dominated} dominated, "
        f"{record.failed} failed; proposals that could not run, at no cost: {record.refused}"
    )
    if record.cost == "seconds":
        lines.append("Seconds were measured on this machine, with whatever else it was doing.")
    return [*lines, CAVEAT]
