"""Residual networks on small pictures, with batch norms and with group norms."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from zoo.entry import CLASSES, PICTURES, Entry, classify, hidden, readout, table, vector

__all__ = ["ENTRIES"]

Norm = Callable[[int], nn.Module]


class Block(nn.Module):
    """Two convolutions, each with its norm; a third where the stream gets more channels."""

    def __init__(self, channels: int, out: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False), norm(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, padding=1, bias=False), norm(out)
        same = stride == 1 and channels == out
        self.downsample = None if same else nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), norm(out))

    def forward(self, x: Tensor) -> Tensor:
        made = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (made + (x if self.downsample is None else self.downsample(x))).relu()  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """Two stages of one block."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        channels = width // 2
        self.conv1, self.bn1 = nn.Conv2d(3, channels, 3, padding=1, bias=False), norm(channels)
        self.layer1 = nn.Sequential(Block(channels, channels, 1, norm))
        self.layer2 = nn.Sequential(Block(channels, 2 * channels, 2, norm))
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(2 * channels, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.bn1(self.conv1(pictures)).relu()
        logits: Tensor = self.fc(self.pool(self.layer2(self.layer1(x))).flatten(1))
        return logits


def with_batch_norm(width: int) -> nn.Module:
    return ResNet(width, nn.BatchNorm2d)


def with_group_norm(width: int) -> nn.Module:
    return ResNet(width, lambda channels: nn.GroupNorm(4, channels))


# No convolution writes to the stream: a norm stands between. 64 channels at twice the base width, then 128.
LINES = (
    table("conv1.weight", 3 * 9),
    hidden("layer1.0.conv?.weight", 64 * 9),
    hidden("layer2.0.conv1.weight", 64 * 9),
    hidden("layer2.0.conv2.weight", 128 * 9),
    hidden("layer2.0.downsample.0.weight", 64),
    readout("fc.weight", 128),
    vector("fc.bias", "zeros"),
    vector("*bn?.weight", "ones"),
    vector("*bn?.bias", "zeros"),
    vector("layer2.0.downsample.1.weight", "ones"),
    vector("layer2.0.downsample.1.bias", "zeros"),
)

ENTRIES = tuple(
    Entry(
        name,
        build,
        LINES,
        plant="layer1.0.conv2.weight",
        batch=PICTURES,
        loss=classify,
        sample=PICTURES[0],
        task="zoo.pictures:Pictures",
    )
    for name, build in {"ResNet, batch norm": with_batch_norm, "ResNet, group norm": with_group_norm}.items()
)
