"""The yardstick: one sparse trial as it is usually trained, in one file and one fresh process.

An ordinary eager fp32 GPT, the mask multiplied into the weight at every forward pass, torch's AdamW with SμPar's
per-layer LR, whatever threads torch chooses. Prints the held-out loss.

    python benchmarks/plain.py --width 1024 --density 0.0078125 --lr 0.0078125 --steps 200
"""

from __future__ import annotations

import argparse
import sysconfig
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BASE_WIDTH, HEAD, VOCABULARY, INIT_STD = 64, 32, 256, 0.05


class MaskedLinear(nn.Linear):
    """A dense layer whose weight is multiplied by a 0/1 mask."""

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, density: float) -> None:
        super().__init__(inputs, outputs, bias=False)
        kept = torch.zeros(outputs * inputs)
        kept[torch.randperm(outputs * inputs)[: max(1, round(density * outputs * inputs))]] = 1.0
        self.register_buffer("mask", kept.view(outputs, inputs))
        nn.init.normal_(self.weight, std=INIT_STD / (inputs / BASE_WIDTH * density) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask)


class Block(nn.Module):
    """Pre-norm attention and feed-forward part."""

    def __init__(self, width: int, density: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.query, self.key, self.value, self.out = (MaskedLinear(width, width, density) for _ in range(4))
        self.up, self.down = MaskedLinear(width, 4 * width, density), MaskedLinear(4 * width, width, density)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        h = self.norm1(x)
        q, k, v = (f(h).view(batch, length, -1, HEAD).transpose(1, 2) for f in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """Tokens to logits."""

    def __init__(self, width: int, depth: int, context: int, density: float) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(VOCABULARY, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, density) for _ in range(depth))
        self.norm, self.readout = nn.LayerNorm(width, bias=False), nn.Linear(width, VOCABULARY, bias=False)
        self.scale = BASE_WIDTH / width
        for table in (self.embed, self.position, self.readout):
            nn.init.normal_(table.weight, std=INIT_STD)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.position(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.readout(self.norm(x)) * self.scale


def make_step(
    width: int, depth: int, density: float, batch: int, length: int, lr: float = 2.0**-7
) -> tuple[Callable[[Tensor, float], float], GPT]:
    """The model and one training step on tokens (B, T + 1) at a share of the peak LR; returns the loss."""
    model = GPT(width, depth, length, density)
    hidden = [p for n, p in model.named_parameters() if "blocks" in n and p.dim() == 2]
    others = [p for n, p in model.named_parameters() if not ("blocks" in n and p.dim() == 2)]
    factor = 1 / (width / BASE_WIDTH * density)
    groups = [{"params": hidden, "lr": lr * factor, "weight_decay": 0.1 / factor}, {"params": others, "lr": lr}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.1)
    peaks = [group["lr"] for group in optimizer.param_groups]

    def step(tokens: Tensor, share: float = 1.0) -> float:
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * share
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step, model


def corpus() -> Tensor:
    """Bytes of the standard library's own sources."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    return torch.frombuffer(bytearray(b"".join(f.read_bytes() for f in files)[:4_000_000]), dtype=torch.uint8).long()


def batch_of(stream: Tensor, batch: int, length: int) -> Tensor:
    """Random windows of the stream."""
    starts = torch.randint(len(stream) - length - 1, (batch,))
    return torch.stack([stream[s : s + length + 1] for s in starts])


def main() -> None:
    """Train one trial: linear warm-up over a tenth, then linearly to zero."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("width", 256), ("depth", 2), ("steps", 200), ("batch", 16), ("length", 64), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--density", type=float, default=1.0)
    parser.add_argument("--lr", type=float, default=2.0**-7)
    a = parser.parse_args()
    torch.manual_seed(a.seed)
    step, model = make_step(a.width, a.depth, a.density, a.batch, a.length, a.lr)
    stream = corpus()
    train, held_out = stream[: int(0.9 * len(stream))], stream[int(0.9 * len(stream)) :]
    warm = max(1, a.steps // 10)
    for i in range(a.steps):
        share = (i + 1) / warm if i < warm else (a.steps - i) / (a.steps - warm)
        step(batch_of(train, a.batch, a.length), share)
    with torch.no_grad():
        batches = [batch_of(held_out, a.batch, a.length) for _ in range(16)]
        losses = [F.cross_entropy(model(b[:, :-1]).flatten(0, 1), b[:, 1:].flatten()) for b in batches]
    print(f"loss {torch.stack(losses).mean():.4f}")


if __name__ == "__main__":
    main()
