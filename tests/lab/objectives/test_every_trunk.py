"""Every objective stands on every trunk: three losses of one gradient, no leak, and drafts that equal greedy decoding."""

from typing import Any

import numpy as np
import pytest
import torch

from generators.foundation.errors import UserError
from lab.decoding.decoder import decode
from lab.loss.losses import joint
from lab.model.batches import TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.model.table import MODELS, parse_model
from lab.objectives.check import check_objective
from lab.objectives.table import OBJECTIVES, build_objective
from lab.run.assembly import RunParts, assemble
from lab.run.spec import parse_spec
from lab.run.step import update_parameters
from tests.conftest import logits_of, tiny_tree
from tests.lab.objectives.variants import VARIANTS, name_of

OTHERS = [kind for kind in MODELS.rows if kind != "llama"]
QUICK = ({"kind": "multi_token", "n": 4}, {"kind": "sequential_modules", "n": 3}, {"kind": "token_order"}, {"kind": "registers"})  # fmt: skip
REFUSED = {("gru", "registers"): 'objective.kind = "registers" needs attention masks and positions, which model.kind = "gru" does not have'}  # fmt: skip
DRAFTING = [
    variant
    for variant in VARIANTS
    if variant["kind"] in ("multi_token", "next_latent", "joint") and not {"stride", "curriculum"} & variant.keys()
]


def settings_of(kind: str, layers: int, width: int = 8) -> dict[str, Any]:
    heads = {} if kind == "gru" else {"attention_heads": 2}
    return {"kind": kind, "width": width, "layers": layers, **heads}


def cases(quick: tuple[dict[str, Any], ...], every: list[dict[str, Any]]) -> list[Any]:
    """Returns each kind with each objective; all but the quick ones of them are slow."""
    return [
        pytest.param(kind, objective, marks=() if objective in quick else pytest.mark.slow, id=f"{kind} {name_of(objective)}")
        for kind in OTHERS
        for objective in every
    ]  # fmt: skip


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("kind", "objective"), cases(QUICK, VARIANTS))
def test_every_objective_passes_its_check_on_every_trunk_or_is_refused(kind: str, objective: dict[str, Any]) -> None:
    config = OBJECTIVES.config(objective, "the test")
    model: ModelConfig = parse_model(settings_of(kind, 5), "the test")
    if sentence := REFUSED.get((kind, objective["kind"])):
        with pytest.raises(UserError, match=sentence):
            check_objective(config, model)
        return
    assert [result for result in check_objective(config, model) if result.problem] == []


def trained_parts(kind: str, objective: dict[str, Any]) -> RunParts:
    """Returns parts trained a little in double precision, so that some drafts are right and some wrong."""
    tree = tiny_tree() | {"model": settings_of(kind, 6, 16), "objective": objective}
    parts = assemble(parse_spec(tree, "a spec"))
    adam = torch.optim.AdamW(parts.network.double().parameters(), lr=0.02)
    for step in range(15):
        indices = np.arange(16 * step, 16 * step + 16)
        joint(parts.network, TensorBatch.from_batch(parts.task.batch("train", indices), parts.device, indices, step))
        update_parameters(adam)
    return parts


@pytest.mark.parametrize(("kind", "objective"), cases(({"kind": "multi_token", "n": 4},), DRAFTING))
def test_drafts_give_the_tokens_of_greedy_decoding_which_are_those_of_rereading(
    kind: str, objective: dict[str, Any]
) -> None:
    parts = trained_parts(kind, objective)
    network, tokens = parts.network, parts.task.batch("test", np.arange(6)).tokens[:, :9]
    lengths = np.array([9, 2, 5, 1, 8, 3])
    greedy, drafted = (decode(network, tokens, lengths, 14, draft) for draft in (1, network.drafts))
    assert (drafted.tokens == greedy.tokens).all()
    assert drafted.forwards.sum() < greedy.forwards.sum(), "some drafts are right"
    assert drafted.accepted[0] < drafted.proposed[0], "some drafts are wrong"
    for row, length in enumerate(lengths):
        known = torch.from_numpy(np.concatenate((tokens[row, :length], greedy.tokens[row])))[None]
        chosen = logits_of(network, known)[0].argmax(dim=-1)
        assert greedy.tokens[row].tolist() == chosen[length - 1 : -1].tolist()


@pytest.mark.parametrize("kind", MODELS.rows)
def test_next_token_prediction_with_one_head_is_a_plain_stack_of_all_layers(kind: str) -> None:
    """A multi_token network of L layers has the layers, in number and in weights, of an objective without heads."""
    model, data = parse_model(settings_of(kind, 4), "the test"), DataShape(vocabulary=7, length=10)
    one_head, plain = (
        build_objective(OBJECTIVES.config(objective, "the test"), model, data)
        for objective in ({"kind": "multi_token", "n": 1}, {"kind": "token_order"})
    )
    tokens = torch.arange(7)[None].repeat(2, 1)
    weights = [*one_head.trunk.layers.parameters(), *one_head.next_token_path().layers[0].parameters()]
    assert len(weights) == len(list(plain.trunk.layers.parameters()))
    with torch.no_grad():
        for mine, other in zip(weights, plain.trunk.layers.parameters(), strict=True):
            mine.copy_(other)
        own = {name: value for name, value in plain.state_dict().items() if name in one_head.state_dict()}
        one_head.load_state_dict({name: value for name, value in own.items() if "layers" not in name}, strict=False)
    torch.testing.assert_close(logits_of(one_head, tokens), logits_of(plain, tokens))
