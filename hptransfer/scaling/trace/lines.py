"""What lies along the dimensions of an activation, and of a parameter that it is multiplied with."""

from __future__ import annotations

from torch import Tensor

from hptransfer.scaling.trace.trails import Trail, Weight

__all__ = ["feature_line", "mixed", "outputs", "varying"]


def feature_line(origins: Tensor) -> Tensor | None:
    """The origins along the last dimension, where they are the same at every place; None where they are not."""
    if not origins.dim() or not origins.numel():
        return None
    lines = origins.reshape(-1, origins.shape[-1])
    return lines[0] if bool((lines == lines[0]).all()) else None


def mixed(left: Trail, right: Trail, out: Tensor) -> tuple[Tensor, ...]:
    """Origins of a product that mixes places, as a router's weights do: it leaves every feature what it is."""
    if bool(left.origins) == bool(right.origins):
        return ()
    if right.origins:
        return tuple(x.expand(out.shape) for o in right.origins if (x := feature_line(o)) is not None)
    lines = (feature_line(o.transpose(-1, -2)) for o in left.origins)
    return tuple(x.view(-1, 1).expand(out.shape) for x in lines if x is not None)


def _lines(weight: Weight, dim: int) -> list[Tensor]:
    """Index into each dimension of the parameter along `dim`, -1 or -2, of what was multiplied."""
    found = []
    for place in weight.places:
        whole = place
        while whole.dim() > 2:
            whole = whole[0]
        found.append(whole[0, :] if dim == -1 else whole[:, 0])
    return found


def varying(weight: Weight, dim: int) -> tuple[int, ...]:
    """The dimensions of the parameter that lie along `dim` of what was multiplied."""
    return tuple(i for i, line in enumerate(_lines(weight, dim)) if bool((line != line[0]).any()))


def outputs(weight: Weight, dim: int) -> tuple[Tensor, int]:
    """Index of each output along `dim` of what was multiplied, and how many the whole parameter has."""
    found = _lines(weight, dim)
    lines = [line for line in found if len(line) > 1 and line[0] != line[1]] or found
    return lines[0], weight.sizes[next(i for i, line in enumerate(found) if line is lines[0])]
