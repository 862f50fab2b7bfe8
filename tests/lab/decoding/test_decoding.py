"""Self-speculative and greedy decoding give the same tokens, and so does a model that rereads every token."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generators.foundation.errors import UserError
from lab.decoding.decoder import decode
from lab.decoding.token_chooser import TokenChooser
from lab.loss.losses import joint
from lab.model.batches import TensorBatch
from lab.model.caches.llama import LlamaCache
from lab.objectives.objective import Objective
from lab.run.assembly import RunParts, assemble
from lab.run.spec import parse_spec
from lab.run.step import update_parameters
from tests.conftest import Lab, logits_of, tiny_tree

WIRINGS: list[dict[str, Any]] = [
    {"n": 4},
    {"n": 4, "topology": "causal"},
    {"n": 4, "topology": "anticausal"},
    {"n": 4, "head": "linear"},
    {"n": 4, "head": "linear", "topology": "anticausal"},
    {"n": 4, "head": "none", "unembedding": "replicated"},
    {"n": 4, "unembedding": "replicated"},
    {"kind": "next_latent", "horizon": 3},
    {"kind": "joint", "n": 4},
]
NAMES = [" ".join(map(str, wiring.values())) for wiring in WIRINGS]


@cache
def trained(index: int, steps: int = 30) -> RunParts:
    """Returns parts trained a little, so that some drafts are right and some wrong, in double precision."""
    tree = tiny_tree(model__layers=6, task__length_tokens=48)
    tree["objective"] = {"kind": "multi_token"} | WIRINGS[index]
    parts = assemble(parse_spec(tree, "a spec"))
    adam = torch.optim.AdamW(parts.network.parameters(), lr=0.02)
    for step in range(steps):
        indices = np.arange(16 * step, 16 * step + 16)
        joint(parts.network, TensorBatch.from_batch(parts.task.batch("train", indices), parts.device, indices))
        update_parameters(adam)
    parts.network.double()
    return parts


def reread(network: Objective, prompt: "np.ndarray[Any, Any]", count: int, end: int | None = None) -> list[int]:
    """Decodes greedily without a cache: it rereads everything before each token."""
    tokens = prompt.tolist()
    for _ in range(count):
        tokens.append(int(logits_of(network, torch.tensor([tokens]))[0, -1].argmax()))
        if tokens[-1] == end:
            break
    return tokens[len(prompt) :]


def random_prompts(parts: RunParts, samples: int) -> tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]:
    tokens = parts.task.batch("test", np.arange(samples) % 24).tokens
    lengths = np.random.default_rng(0).integers(1, 20, samples)
    return tokens[:, :20], lengths


@pytest.mark.parametrize("index", range(len(WIRINGS)), ids=NAMES)
def test_greedy_decoding_with_a_cache_equals_rereading(index: int) -> None:
    parts = trained(index)
    prompts, lengths = random_prompts(parts, 3)
    decoded = decode(parts.network, prompts, lengths, 16)
    for row in range(3):
        assert decoded.tokens[row].tolist() == reread(parts.network, prompts[row, : lengths[row]], 16)
    assert (decoded.forwards == 16).all()
    assert decoded.tokens_per_forward == 1


@pytest.mark.parametrize(("draft", "samples"), [(2, 16), (4, 16), (4, 1)])
@pytest.mark.parametrize("index", range(len(WIRINGS)), ids=NAMES)
def test_self_speculative_decoding_gives_the_greedy_tokens(index: int, draft: int, samples: int) -> None:
    parts = trained(index)
    prompts, lengths = random_prompts(parts, samples)
    greedy = decode(parts.network, prompts, lengths, 26)
    decoded = decode(parts.network, prompts, lengths, 26, draft)
    assert (decoded.tokens == greedy.tokens).all()
    assert decoded.proposed[0] == decoded.forwards.sum()
    assert (decoded.proposed[1:] == decoded.accepted[:-1]).all()
    if samples == 16:
        assert 0 < decoded.accepted[0] < decoded.proposed[0], "some drafts are right and some wrong"
        assert decoded.forwards.sum() < greedy.forwards.sum()


@pytest.mark.parametrize("draft", [1, 4])
def test_an_end_inside_a_draft_ends_the_sample_there(draft: int) -> None:
    parts = trained(0)
    prompts, lengths = random_prompts(parts, 16)
    whole = decode(parts.network, prompts, lengths, 26)
    inside = 0
    for end in np.unique(whole.tokens[:, 3:20], return_counts=False)[::6]:
        decoded = decode(parts.network, prompts, lengths, 26, draft, end)
        for row in range(16):
            tokens = whole.tokens[row].tolist()
            size = tokens.index(end) + 1 if end in tokens else 26
            assert decoded.lengths[row] == size
            assert decoded.tokens[row].tolist() == tokens[:size] + [end] * (26 - size)
            inside += 1 < size < 26
        assert (decoded.forwards <= whole.forwards).all()
    assert inside > 5


def test_samples_of_a_batch_do_not_affect_each_other() -> None:
    parts = trained(1)
    prompts, lengths = random_prompts(parts, 16)
    together = decode(parts.network, prompts, lengths, 20, 3)
    for row in (0, 7, 15):
        alone = decode(parts.network, prompts[row : row + 1], lengths[row : row + 1], 20, 3)
        assert (alone.tokens[0] == together.tokens[row]).all()
        assert alone.forwards[0] == together.forwards[row]


def test_drafts_of_shuffled_heads_are_accepted_less_often() -> None:
    """This is the control for a wrong order of heads."""
    parts = trained(0)
    prompts, lengths = random_prompts(parts, 24)
    good = decode(parts.network, prompts, lengths, 26, 4)
    network = parts.network
    extra = list(network.extra_heads)  # type: ignore[arg-type]
    try:
        network.extra_heads = torch.nn.ModuleList([extra[2], extra[0], extra[1]])
        wrong = decode(network, prompts, lengths, 26, 4)
    finally:
        network.extra_heads = torch.nn.ModuleList(extra)
    assert (wrong.tokens == good.tokens).all(), "wrong drafts cost time and change nothing"
    assert wrong.tokens_per_forward < good.tokens_per_forward


def test_differences_in_single_precision_are_ties() -> None:
    parts = trained(2)
    network = parts.network
    prompts, lengths = random_prompts(parts, 24)
    try:
        network.float()
        greedy, decoded = (decode(network, prompts, lengths, 26, draft).tokens for draft in (1, 4))
        for row in np.flatnonzero((greedy != decoded).any(axis=1)):
            first = int(np.argmax(greedy[row] != decoded[row]))
            read = [*prompts[row, : lengths[row]], *greedy[row, :first]]
            best = logits_of(network, torch.tensor([read]))[0, -1].topk(2).values
            assert float(best[0] - best[1]) < 1e-4
    finally:
        network.double()


def test_acceptance_rates_of_complementary_places_add_up_to_the_whole() -> None:
    parts = trained(0)
    prompts, lengths = random_prompts(parts, 16)
    decoded = decode(parts.network, prompts, lengths, 26, 4)
    even = (lengths[:, None] + np.arange(26)) % 2 == 0
    inside = decoded.drafts[:, :26]
    for head in range(3):
        proposed = [(inside[mask][:, head] >= 0).sum() for mask in (even, ~even)]
        shares = [decoded.acceptance_at(mask)[head] for mask in (even, ~even)]
        accepted = sum(share * count for share, count in zip(shares, proposed, strict=True))
        assert accepted == pytest.approx((inside[:, :, head] == 1).sum())
        assert shares[0] != shares[1]
    assert np.isnan(decoded.acceptance_at(np.zeros((16, 26), bool))).all()


def test_every_token_is_the_certain_one_of_a_forward_pass_or_an_accepted_draft() -> None:
    parts = trained(1)
    prompts, lengths = random_prompts(parts, 8)
    decoded = decode(parts.network, prompts, lengths, 26, 4)
    accepted = (decoded.drafts == 1).any(axis=2)[:, :26].sum(axis=1)
    surplus = (decoded.drafts == 1).any(axis=2)[:, 26:].sum(axis=1)
    assert (decoded.forwards + accepted == 26).all()
    assert (surplus <= 3).all()


def test_speculative_sampling_has_the_distribution_of_the_next_token_head() -> None:
    """Compares the first two tokens after a certain one, of three classes, with p(x) p(y|x)."""
    draws = 40_000
    generator = torch.Generator().manual_seed(0)
    p_first = torch.tensor([0.5, 0.3, 0.2])
    p_second = torch.tensor([[0.1, 0.6, 0.3], [0.8, 0.1, 0.1], [0.2, 0.2, 0.6]])
    q = torch.tensor([0.2, 0.7, 0.1])
    chooser = TokenChooser(1.0, generator)
    drafts = torch.multinomial(q.expand(draws, 3), 1, generator=generator)
    block = torch.cat((torch.zeros(draws, 1, dtype=torch.int64), drafts), dim=1)
    logits = torch.stack((p_first.log().expand(draws, 3), p_second.log()[drafts[:, 0]]), dim=1)
    standing, following = map(torch.from_numpy, chooser.verify(logits, block.numpy(), q.expand(1, draws, 3)))
    first = torch.where(standing == 2, block[:, 1], following)
    assert torch.bincount(first, minlength=3) / draws == pytest.approx(p_first.numpy(), abs=0.01)
    accepted = standing == 2
    assert float(accepted.float().mean()) == pytest.approx(float(torch.minimum(p_first, q).sum()), abs=0.01)
    for token in range(3):
        after = following[accepted & (block[:, 1] == token)]
        assert torch.bincount(after, minlength=3) / len(after) == pytest.approx(p_second[token].numpy(), abs=0.025)


def test_sampled_continuations_have_the_same_distribution_with_and_without_drafts() -> None:
    parts = trained(0)
    prompt = np.repeat(random_prompts(parts, 1)[0], 4000, axis=0)
    lengths = np.full(4000, 9)
    counts = {}
    for draft in (1, 3):
        decoded = decode(
            parts.network, prompt, lengths, 3, draft, temperature=1.5, generator=torch.Generator().manual_seed(draft)
        )
        counts[draft] = [np.bincount(column, minlength=len(parts.task.vocabulary)) for column in decoded.tokens.T]
    for plain, drafted in zip(counts[1], counts[3], strict=True):
        frequent = plain + drafted > 20
        chi_squared = ((plain - drafted)[frequent] ** 2 / (plain + drafted)[frequent]).sum()
        degrees = frequent.sum() - 1
        assert chi_squared < degrees + 4 * np.sqrt(2 * degrees)
        assert degrees > 3


def test_lab_decode_reports_acceptance_and_confirms_the_tokens(lab: Lab, spec_file: Path, tmp_path: Path) -> None:
    home = ("--home", tmp_path)
    run = json.loads(lab("train", spec_file, "--json", *home).stdout)["run"]
    answer = json.loads(lab("decode", run, "--draft", 2, "--samples", 5, "--json", *home).stdout)
    assert answer["same_as_plain"] is True
    assert answer["tokens_per_forward"] == pytest.approx(1 + answer["acceptance"]["head 2"])
    assert answer["samples"] == 5
    assert len(answer["continuation"].split()) == answer["tokens_each"]
    refused = lab("decode", run, "--draft", 3, *home)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "give at most 2" in refused.stderr
    assert "tokens fit after the longest prompt" in lab("decode", run, "--count", 500, *home).stderr
    assert (
        "--split nowhere: should be one of validation, test" in lab("decode", run, "--split", "nowhere", *home).stderr
    )


def test_impossible_lengths_and_drafts_are_refused_with_the_reason() -> None:
    parts = trained(0)
    prompts, lengths = random_prompts(parts, 2)
    with pytest.raises(UserError, match="40 more exceed the 48 tokens of a sample"):
        decode(parts.network, prompts, np.array([20, 3]), 40)
    with pytest.raises(UserError, match=r"--draft 5: .* look 1, 2, 3, 4 ahead; give at most 4"):
        decode(parts.network, prompts, lengths, 5, 5)
    tree = tiny_tree()
    tree["objective"] = {"kind": "sequential_modules", "n": 2}
    with pytest.raises(UserError, match="sequential_modules proposes one token at a time"):
        decode(assemble(parse_spec(tree, "a spec")).network, prompts, lengths, 5, 2)


@pytest.mark.parametrize("start", range(5))
def test_a_mask_begins_at_an_aligned_address(start: int) -> None:
    """Attention kernels of a GPU read the rows of a mask in pieces of 16 bytes."""
    network = assemble(parse_spec(tiny_tree())).network
    cache = network.trunk.new_cache(samples=2, capacity=20)
    assert isinstance(cache, LlamaCache)
    mask = cache.positions_of(np.full(2, start), 3).mask
    assert mask is not None
    assert mask.is_contiguous()
    assert mask.storage_offset() == 0
