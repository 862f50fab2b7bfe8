"""Linear probes converge and do not depend on the basis of a latent."""

import pytest
import torch
from torch import Tensor

from lab.analysis.estimators import linear_probes
from lab.analysis.estimators.linear_probes import LinearProbe, ProbeData, fit_probe


@pytest.fixture(scope="module")
def logits_and_data() -> tuple[Tensor, ProbeData]:
    """Returns data of four classes, whose logits are linear in a correlated latent with an offset for each of three contexts."""
    generator = torch.Generator().manual_seed(0)
    z_NxD = torch.randn(1000, 6, generator=generator) @ torch.randn(6, 6, generator=generator)
    context_N = torch.randint(3, (1000,), generator=generator)
    logits_NxV = 2 * z_NxD @ torch.randn(6, 4, generator=generator) + torch.randn(3, 4, generator=generator)[context_N]
    class_N = torch.multinomial(logits_NxV.softmax(dim=1), 1, generator=generator)[:, 0]
    return logits_NxV, ProbeData(torch.arange(1000) // 10, z_NxD, context_N, class_N)


def frequencies(data: ProbeData) -> Tensor:
    return linear_probes.log_frequencies(data, 3, 4, 1.0)


def penalised_loss(probe: LinearProbe, data: ProbeData, ridge: float) -> float:
    change = probe.table_CxV - frequencies(data)
    return probe.nats(data) + ridge / 2 * float(change.square().sum() + probe.weight_KxV.square().sum())


def test_a_probe_is_fitted_to_convergence(logits_and_data: tuple[Tensor, ProbeData]) -> None:
    _, data = logits_and_data
    probe = fit_probe(data, 3, 4)
    short, long = (
        linear_probes.minimise(probe, frequencies(data), data, 1e-3, iterations)
        for iterations in (linear_probes.ITERATIONS, 5000)
    )
    assert penalised_loss(short, data, 1e-3) - penalised_loss(long, data, 1e-3) < 1e-4


def test_a_probe_reaches_the_loss_of_the_distribution_that_drew_the_classes(
    logits_and_data: tuple[Tensor, ProbeData],
) -> None:
    logits_NxV, data = logits_and_data
    optimum = float(torch.nn.functional.cross_entropy(logits_NxV, data.class_N))
    assert fit_probe(data, 3, 4).nats(data) == pytest.approx(optimum, abs=0.02)


def test_a_probe_depends_neither_on_the_basis_nor_on_the_scale_of_a_latent(
    logits_and_data: tuple[Tensor, ProbeData],
) -> None:
    _, data = logits_and_data
    matrix = 100 * torch.randn(6, 6, generator=torch.Generator().manual_seed(2))
    moved = ProbeData(data.sample_N, data.latent_NxD @ matrix + 5.0, data.context_N, data.class_N)
    assert fit_probe(data, 3, 4).nats(data) == pytest.approx(fit_probe(moved, 3, 4).nats(moved), abs=1e-3)
