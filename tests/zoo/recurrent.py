"""An LSTM and a GRU over tokens: both matrices of a cell lie in one module."""

from __future__ import annotations

from torch import Tensor, nn
from zoo.entry import VOCABULARY, Entry, hidden, readout, table, vector

__all__ = ["ENTRIES"]


class Recurrent(nn.Module):
    """Tokens to logits."""

    def __init__(self, kind: type[nn.RNNBase], width: int, vocabulary: int = VOCABULARY) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.cell = kind(width, width, batch_first=True)
        self.readout = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.readout(self.cell(self.embed(tokens))[0])
        return logits


def lstm(width: int) -> nn.Module:
    return Recurrent(nn.LSTM, width)


def gru(width: int) -> nn.Module:
    return Recurrent(nn.GRU, width)


LINES = (
    table("embed.weight", VOCABULARY),
    hidden("cell.weight_?h_l0", 128),
    readout("readout.weight", 128),
    vector("cell.bias_?h_l0", "zeros"),
    vector("readout.bias", "zeros"),
)

ENTRIES = tuple(
    Entry(name, build, LINES, plant="cell.weight_hh_l0", beside=("cell.weight_ih_l0",))
    for name, build in {"LSTM": lstm, "GRU": gru}.items()
)
