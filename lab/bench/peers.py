"""The peers of `lab bench train`: transformers' Llama, a plain GPT, and the floor of bare products and attention.

A peer takes the same optimiser step as the lab's network, with the same clipping, through the same code.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generators.foundation.errors import UserError
from lab.doctor.extras import install_command
from lab.model.batches import TensorBatch
from lab.model.config import ModelShape
from lab.model.layers import NORM_EPSILON
from lab.run.step import Backward


def transformers_llama(shape: ModelShape, vocabulary: int, length: int) -> nn.Module:
    """Builds transformers' Llama with the shapes of the lab's network; it takes tokens as inputs and as labels.

    Raises:
        UserError: transformers is not installed.
    """
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        raise UserError(
            f"lab bench train compares with transformers, which is not installed; {install_command('transformers')}"
        ) from None
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.attention_heads,
        max_position_embeddings=length,
        rms_norm_eps=NORM_EPSILON,
        use_cache=False,
    )
    return LlamaForCausalLM(config)


class PlainLayer(nn.Module):
    """A layer as in GPT-2 (Radford et al. 2019): layer norms, one product for q, k and v, and GELU; no rotation."""

    def __init__(self, width: int, attention_heads: int) -> None:
        super().__init__()
        self.attention_heads = attention_heads
        self.norms = nn.ModuleList(nn.LayerNorm(width, bias=False) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x_BxTxD: Tensor) -> Tensor:
        B, T, D = x_BxTxD.shape
        qkv = self.qkv(self.norms[0](x_BxTxD)).view(B, T, 3, self.attention_heads, -1)
        q_BxHxTxK, k_BxHxTxK, v_BxHxTxK = qkv.permute(2, 0, 3, 1, 4).unbind()
        y_BxHxTxK = F.scaled_dot_product_attention(q_BxHxTxK, k_BxHxTxK, v_BxHxTxK, is_causal=True)
        x_BxTxD = x_BxTxD + self.output(y_BxHxTxK.transpose(1, 2).reshape(B, T, D))
        out: Tensor = x_BxTxD + self.down(F.gelu(self.up(self.norms[1](x_BxTxD))))
        return out


class PlainGPT(nn.Module):
    """A GPT with learned positions and tied embeddings, the shape of most small training scripts.

    Its layers have 12 D^2 parameters, as the lab's do.
    """

    def __init__(self, shape: ModelShape, vocabulary: int, length: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, shape.width)
        self.positions = nn.Embedding(length, shape.width)
        self.layers = nn.Sequential(*(PlainLayer(shape.width, shape.attention_heads) for _ in range(shape.layers)))
        self.norm = nn.LayerNorm(shape.width, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.02)

    def forward(self, input_ids: Tensor, labels: Tensor) -> Tensor:
        inputs_BxP, targets_BxP = input_ids[:, :-1], labels[:, 1:]
        x_BxPxD = self.tokens(inputs_BxP) + self.positions.weight[: inputs_BxP.shape[1]]
        logits_BxPxV = F.linear(self.norm(self.layers(x_BxPxD)), self.tokens.weight)
        return F.cross_entropy(logits_BxPxV.flatten(0, 1), targets_BxP.flatten())


def peer_backward(peer: nn.Module, kind: str) -> Backward:
    """Returns the backward pass of a peer: "eager", "compiled" as one piece, or recorded as "CUDA graphs" too."""
    modes = {"compiled": None, "CUDA graphs": "reduce-overhead"}
    forward = torch.compile(peer, mode=modes[kind]) if kind in modes else peer

    def backward(batch: TensorBatch) -> dict[str, Tensor]:
        output = forward(input_ids=batch.tokens_BxT, labels=batch.tokens_BxT)
        loss: Tensor = output if isinstance(output, Tensor) else output.loss
        loss.backward()  # type: ignore[no-untyped-call]
        return {"loss_1": loss.detach()}

    return backward


def floor_step(
    shape: ModelShape, vocabulary: int, samples: int, length: int, device: torch.device
) -> Callable[[], None]:
    """Returns a step of nothing but the matrix products and the attention of one forward and backward pass."""
    rows, width, hidden = samples * length, shape.width, shape.hidden
    linear = [(width, 3 * width), (width, width), (width, 2 * hidden), (hidden, width)] * shape.layers
    products: list[tuple[Tensor, ...]] = []
    for inputs, outputs in [*linear, (width, vocabulary)]:
        x, w, y = (torch.randn(size, device=device) for size in ((rows, inputs), (outputs, inputs), (rows, outputs)))
        products.append((x, w, y, torch.empty_like(x), torch.empty_like(w), torch.empty_like(y)))
    heads = (samples, shape.attention_heads, length, width // shape.attention_heads)
    q, k, v = (torch.randn(heads, device=device, requires_grad=True) for _ in range(3))
    gradient = torch.randn(heads, device=device)

    def step() -> None:
        for x, w, _, _, _, out in products:
            torch.mm(x, w.T, out=out)
        for _ in range(shape.layers):
            torch.autograd.grad(F.scaled_dot_product_attention(q, k, v, is_causal=True), (q, k, v), gradient)
        for x, w, y, x_gradient, w_gradient, _ in products:
            torch.mm(y, w, out=x_gradient)
            torch.mm(y.T, x, out=w_gradient)

    return step
