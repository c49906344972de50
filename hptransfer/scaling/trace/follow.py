"""Follows a forward pass, operator by operator, and notes where every activation came from.

A matrix that is multiplied with an activation makes a new one, whose features are its rows; whatever then moves, cuts
or joins these features is done to a tensor of their origins too. Works on the meta device: no value is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from hptransfer.scaling.trace.lines import feature_line, mixed, outputs, varying
from hptransfer.scaling.trace.moves import KEEPS, MOVES, moved, none_like, pieces_of
from hptransfer.scaling.trace.trails import Product, Trail, Weight, origins_of, stamped

__all__ = ["Follower", "Scores"]

_PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1, "_grouped_mm": 0}
"""Where the two factors begin among an operator's arguments."""
_LINEAR = frozenset(
    (
        "add",
        "sub",
        "rsub",
        "mul",
        "div",
        "neg",
        "where",
        "masked_fill",
        "dropout",
        "native_dropout",
        "copy",
        "tril",
        "triu",
    )
)
_NORMS = frozenset(("native_layer_norm", "_fused_rms_norm", "native_group_norm"))
_SUMS = ("sum", "mean", "index_add", "scatter_add")
"""Sums over places, of which each feature stays what it is."""
_CONSTANT = frozenset(
    ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty")
)
"""Of what they are given they take the size."""
_CUTS = {"select": 1, "slice": 1, "unbind": 1, "split": 2, "split_with_sizes": 2, "unsafe_split": 2}
"""Where the dimension is among the arguments of an operator that cuts; it is 0 where it is not given."""
_SOFTMAX = frozenset(("_softmax", "_safe_softmax"))


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One attention: scores of queries and keys over `size` features, times `scale` where that could be read."""

    module: str
    size: int
    queries: Trail
    keys: Trail
    scale: float | None


class Follower(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Around one forward pass of a model whose modules carry this object's hooks (`hooked`)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.parameters = [parameter for _, parameter in model.named_parameters()]
        self.known: dict[int, tuple[Tensor, Trail | Weight]] = {}
        """By the id of the tensor, which is kept with it: an id must not be given away while it counts."""
        self.values = 0
        self.pieces: dict[tuple[object, ...], int] = {}
        """The bits of what was cut out along another dimension than the features."""
        self.where = [""]
        self.scores: list[Scores] = []
        self.writes: list[int] = []
        """Parameters whose output is added to the stream, in order."""
        self.additions = 0
        """How many times something is added to the stream."""
        self.outputs: dict[int, int] = {}
        """How many rows a matrix has, by its number."""
        self.sums: dict[int, set[tuple[int, ...]]] = {}
        """Dimensions of a matrix that its products sum over, by its number."""
        self.projects: dict[tuple[str, int], None] = {}
        """Modules and parameters whose activation they hand out, as made or, with a gain, behind their norm."""
        for number, parameter in enumerate(self.parameters):
            shape = parameter.shape
            places = tuple(_along(d, n, len(shape)).expand(shape) for d, n in enumerate(shape))
            self._know(parameter, Weight(number, places, tuple(shape)))
        for name, module in model.named_modules():
            module.register_forward_pre_hook(lambda *_, name=name: self.where.append(name))
            module.register_forward_hook(lambda _m, _a, out, name=name: self._leaves(name, out))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """A word to torch, which would load its compiler to keep it from looking in here: seconds of a command."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if name.endswith("_") and not name.endswith("__"):
            name = name[:-1]
        if name not in _CONSTANT and any(map(self._of, pytree.tree_leaves((args, kwargs)))):
            self._note(name, func, args, kwargs, out)
        return out

    # --- what is known

    def _know(self, tensor: Tensor, what: Trail | Weight) -> None:
        self.known[id(tensor)] = (tensor, what)

    def _of(self, value: Any) -> Trail | Weight | None:
        return self.known.get(id(value), (None, None))[1] if isinstance(value, Tensor) else None

    def _trail(self, value: Any) -> Trail | None:
        found = self._of(value)
        return found if isinstance(found, Trail) else None

    def _fresh(self, *sources: Trail | Weight | None, **known: Any) -> Trail:
        """A new value, computed from the sources."""
        self.values += 1
        bit = past = whole = 1 << self.values
        for source in sources:
            if isinstance(source, Trail):
                past, whole = past | source.past, whole | source.whole
        return Trail(bit, past, whole, **known)

    def _leaves(self, name: str, out: Any) -> None:
        """A module hands out `out`: note whose outputs these are, if they are all of one matrix, in its order."""
        self.where.pop()
        first = out[0] if isinstance(out, tuple) and out else out
        if (trail := self._trail(first)) is None:
            return
        if trail.gain is not None:
            self.projects.setdefault((name, trail.gain))
        elif not trail.normed and len(trail.origins) == 1 and first.numel():
            line = trail.origins[0].reshape(-1, first.shape[-1])[0]
            for number in origins_of(trail):
                whole = stamped(number, torch.arange(self.outputs[number]))
                if torch.equal(line, whole):
                    self.projects.setdefault((name, number))

    # --- one operator

    def _note(self, name: str, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        given = [t for t in pytree.tree_leaves((args, kwargs)) if self._of(t) is not None]
        trails = [t for t in given if self._trail(t) is not None]
        if name in ("embedding", "embedding_bag"):
            self._know(out if isinstance(out, Tensor) else out[0], self._fresh())
        elif not trails and name not in (*_PRODUCTS, "convolution"):
            self._view_of_weight(name, func, args, kwargs, out, given)
        elif name in _PRODUCTS:
            left, right = args[_PRODUCTS[name] :][:2]
            self._product(left, right, out)
        elif name == "convolution":
            self._convolution(args, out)
        elif name.startswith("_scaled_dot_product"):
            self._fused_attention(args, kwargs, out)
        elif name in _NORMS:
            self._norm(args, out)
        elif name in MOVES:
            self._move(name, func, args, kwargs, out, trails)
        elif name in _SUMS:
            self._over_places(args, out, trails)
        elif name in _LINEAR and isinstance(first := out[0] if isinstance(out, tuple) else out, Tensor):
            self._linear(name, args, first, trails)
        else:
            if name in _SOFTMAX:
                self._softmax(args)
            self._other(out, trails)

    def _view_of_weight(self, name: str, func: Any, args: Any, kwargs: Any, out: Any, given: Sequence[Tensor]) -> None:
        (weight,) = [self._of(t) for t in given[:1]]
        if not isinstance(weight, Weight) or len(given) > 1:
            return
        if name in MOVES:
            views = [moved(name, func, args, kwargs, out, {id(given[0]): p}) for p in weight.places]
            for i, piece in enumerate(pieces_of(out)):
                places = [view[i] for view in views]
                if all(p is not None for p in places):
                    self._know(piece, replace(weight, places=tuple(p for p in places if p is not None)))
        elif isinstance(out, Tensor) and out.shape == given[0].shape:
            self._know(out, weight)

    def _product(self, left: Tensor, right: Tensor, out: Tensor) -> None:
        a, b = self._of(left), self._of(right)
        if isinstance(a, Trail) and isinstance(b, Trail):
            scale = None if a.scale is None or b.scale is None else a.scale * b.scale
            rows = torch.arange(out.shape[-2]).view(-1, 1).expand(out.shape)
            product, origins = Product(a, b, left.shape[-1], rows), mixed(a, b, out)
            self._know(out, self._fresh(a, b, scale=scale, product=product, origins=origins))
        elif isinstance(a, Weight) != isinstance(b, Weight):
            weight, dim = (b, -1) if isinstance(b, Weight) else (a, -2)
            assert isinstance(weight, Weight)
            rows, size = outputs(weight, dim)
            self.sums.setdefault(weight.number, set()).add(varying(weight, -2 if dim == -1 else -1))
            line = rows if dim == -1 else rows.view(-1, 1)
            self._know(out, self._made(weight.number, line, size, out, a, b))
        else:
            self._know(out, self._fresh(a, b))

    def _convolution(self, args: Any, out: Tensor) -> None:
        weight, transposed = self._of(args[1]), args[6]
        if not isinstance(weight, Weight) or transposed:
            self._know(out, self._fresh(self._of(args[0])))
            return
        channels = torch.arange(out.shape[1]).view(1, -1, *[1] * (out.dim() - 2))
        self._know(out, self._made(weight.number, channels, out.shape[1], out, self._of(args[0])))

    def _made(self, number: int, rows: Tensor, size: int, out: Tensor, *sources: Trail | Weight | None) -> Trail:
        self.outputs[number] = size
        return self._fresh(*sources, origins=(stamped(number, rows).expand(out.shape),))

    def _fused_attention(self, args: Any, kwargs: Any, out: Any) -> None:
        queries, keys = self._trail(args[0]), self._trail(args[1])
        size = args[0].shape[-1]
        if queries and keys:
            own = kwargs.get("scale") or size**-0.5
            known = queries.scale is not None and keys.scale is not None
            scale = own * (queries.scale or 0.0) * (keys.scale or 0.0) if known else None
            self.scores.append(Scores(self.where[-1], size, queries, keys, scale))
        self._other(out, [t for t in args if self._trail(t)])

    def _softmax(self, args: Any) -> None:
        trail = self._trail(args[0])
        if trail is None or trail.product is None:
            return
        product, dim = trail.product, args[1]
        by_row = product.rows.shape[dim] > 1 and bool((product.rows != product.rows.narrow(dim, 0, 1)).any())
        queries, keys = (product.right, product.left) if by_row else (product.left, product.right)
        self.scores.append(Scores(self.where[-1], product.size, queries, keys, trail.scale))

    def _norm(self, args: Any, out: Any) -> None:
        trail = self._trail(args[0])
        gain = next((w for a in args[1:] if isinstance(w := self._of(a), Weight)), None)
        known = {} if trail is None else {"origins": trail.origins, "scale": trail.scale}
        self._know(out[0], self._fresh(trail, normed=True, gain=gain.number if gain else None, **known))

    def _move(self, name: str, func: Any, args: Any, kwargs: Any, out: Any, trails: Sequence[Tensor]) -> None:
        """Whatever the operator does to the elements it does to their origins."""
        found = [t for t in map(self._trail, trails) if t is not None]
        if len(found) == 1:
            self._move_one(name, func, args, kwargs, out, trails[0], found[0])
            return
        layers = max(len(t.origins) for t in found)
        pieces: list[tuple[Tensor, ...]] = [() for _ in pieces_of(out)]
        for layer in range(layers):
            shadows = {
                id(x): t.origins[min(layer, len(t.origins) - 1)] if t.origins else none_like(x)
                for x, t in zip(trails, found, strict=True)
            }
            for i, here in enumerate(moved(name, func, args, kwargs, out, shadows)):
                pieces[i] += () if here is None else (here,)
        scale = _one({t.scale for t in found})
        normed, gain = any(t.normed for t in found), _one({t.gain for t in found})
        for piece, origins in zip(pieces_of(out), pieces, strict=True):
            self._know(piece, self._fresh(*found, origins=origins, scale=scale, normed=normed, gain=gain))

    def _move_one(self, name: str, func: Any, args: Any, kwargs: Any, out: Any, tensor: Tensor, trail: Trail) -> None:
        layers = [moved(name, func, args, kwargs, out, {id(tensor): o}) for o in trail.origins]
        rows = trail.product and moved(name, func, args, kwargs, out, {id(tensor): trail.product.rows})
        for i, piece in enumerate(pieces_of(out)):
            origins = tuple(m for layer in layers if (m := layer[i]) is not None)
            product = None
            if trail.product and rows and (here := rows[i]) is not None:
                product = replace(trail.product, rows=here)
            step = self._piece(trail, name, args, i) if _is_a_step(name, args, tensor, piece) else trail
            self._know(piece, replace(step, origins=origins, product=product))

    def _piece(self, trail: Trail, name: str, args: Any, number: int) -> Trail:
        """The same cut of the same value is the same piece."""
        key = (trail.carries, trail.past, name, repr(args[1:]), number)
        if key not in self.pieces:
            self.values += 1
            self.pieces[key] = 1 << self.values
        return trail.piece(self.pieces[key])

    def _other(self, out: Any, trails: Sequence[Tensor]) -> None:
        """Nothing is known of what comes out but what it came from; scores of the same shape are still scores."""
        found = [t for t in map(self._trail, trails) if t is not None]
        for piece in pieces_of(out):
            trail = self._fresh(*found)
            scores = [t for x, t in zip(trails, found, strict=True) if t.product and x.shape == piece.shape]
            if len(found) == 1 and scores:
                trail = replace(trail, product=scores[0].product, scale=None)
            self._know(piece, trail)

    # --- sums and factors

    def _linear(self, name: str, args: Any, out: Tensor, trails: Sequence[Tensor]) -> None:
        found = [t for t in map(self._trail, trails) if t is not None]
        if name in ("add", "sub") and len(trails) == 2:
            self._know(out, self._sum(out, trails, found))
        elif len(found) > 1:
            self._know(out, self._together(out, trails, found))
        elif trails[0].shape == out.shape or name in ("mul", "div"):
            self._know(out, self._times(name, args, out, trails[0], found[0]))
        else:
            self._know(out, self._fresh(*found))

    def _sum(self, out: Tensor, trails: Sequence[Tensor], found: Sequence[Trail]) -> Trail:
        a, b = found
        if trails[0].shape == trails[1].shape and a.is_ahead_of(b) != b.is_ahead_of(a):
            stream, branch = (a, b) if a.is_ahead_of(b) else (b, a)
            writers = [] if branch.normed else [n for n in origins_of(branch) if n not in origins_of(stream)]
            self.writes += writers
            self.additions += bool(writers)
            trail = self._fresh(a, b)
            return replace(trail, carries=trail.carries | stream.carries, parts=stream.parts)
        scale = a.scale if a.scale == b.scale else None
        trail = self._fresh(a, b, scale=scale, product=a.product or b.product)
        if a.product or b.product:
            return replace(trail, scale=(a if a.product else b).scale)
        origins = [o for x, t in zip(trails, found, strict=True) if x.shape == out.shape for o in t.origins]
        makers = [origins_of(replace(trail, origins=(o,))) for o in origins]
        kept = tuple(o for i, o in enumerate(origins) if makers[i] not in makers[:i])  # a rotation sums a thing twice
        gain = a.gain if a.gain == b.gain else None
        return replace(trail, origins=kept, normed=a.normed or b.normed, gain=gain)

    def _over_places(self, args: Any, out: Tensor, trails: Sequence[Tensor]) -> None:
        """A sum over places leaves every feature what it is; one over features leaves nothing to follow."""
        over = args[1] if len(args) > 1 else None
        dims = over if isinstance(over, list | tuple) else [over]
        if any(dim in (None, -1, args[0].dim() - 1) for dim in dims):
            self._other(out, trails)
            return
        found = [t for t in map(self._trail, trails) if t is not None]
        layers: dict[tuple[int, ...], Tensor] = {}  # one of those that the same matrices made
        for trail in found:
            for line in (x for x in map(feature_line, trail.origins) if x is not None):
                layers.setdefault(tuple(origins_of(replace(trail, origins=(line,)))), line.expand(out.shape))
        normed = any(t.normed for t in found)
        self._know(out, self._fresh(*found, origins=tuple(layers.values()), scale=None, normed=normed))

    def _together(self, out: Tensor, trails: Sequence[Tensor], found: Sequence[Trail]) -> Trail:
        """A product, element by element, of two activations: a gate, or a norm written out."""
        first = next((i for i, x in enumerate(trails) if found[i].origins and x.shape == out.shape), None)
        if first is None:
            scores = next((t for t in found if t.product), None)
            return self._fresh(*found, product=scores and scores.product, scale=None)
        trail, others = found[first], [t for i, t in enumerate(found) if i != first]
        normed = trail.normed or any(trail.carries & t.past for t in others)
        return self._fresh(*found, origins=trail.origins, scale=trail.scale, normed=normed, gain=trail.gain)

    def _times(self, name: str, args: Any, out: Tensor, tensor: Tensor, trail: Trail) -> Trail:
        """An activation with something that is none: a number, a mask, a bias, a gain."""
        if name in ("add", "sub", "rsub", "where", "masked_fill", *KEEPS):
            return trail
        other = next((a for a in args if a is not tensor), None)
        weight = self._of(other)
        scale = trail.scale
        if isinstance(other, Tensor) and other.numel() == 1 and name in ("mul", "div"):
            number = _number(other) if weight is None else None
        else:
            number = 1.0 if isinstance(other, Tensor) or name not in ("mul", "div") else _number(other)
        if number is None or scale is None:
            scale = None
        else:
            scale = scale / number if name == "div" and number else scale * number
        fresh = self._fresh(trail)
        carries, parts = fresh.carries, 0
        if not isinstance(other, Tensor) or other.numel() == 1:
            carries, parts = carries | trail.carries, trail.parts
        gain = weight.number if isinstance(weight, Weight) and trail.normed and trail.gain is None else trail.gain
        told = replace(fresh, carries=carries, parts=parts, scale=scale, normed=trail.normed, gain=gain)
        return replace(told, origins=trail.origins, product=trail.product) if tensor.shape == out.shape else told


def _is_a_step(name: str, args: Any, tensor: Tensor, piece: Tensor) -> bool:
    """Whether a piece was cut out along places, of which there are more: not along the features, the last dimension."""
    if name not in _CUTS or piece.numel() == tensor.numel():
        return False
    dim = args[_CUTS[name]] if len(args) > _CUTS[name] else 0
    return dim not in (-1, tensor.dim() - 1)


def _along(dim: int, size: int, dims: int) -> Tensor:
    return torch.arange(size).view(*[-1 if d == dim else 1 for d in range(dims)])


def _one(found: set[Any]) -> Any:
    return next(iter(found)) if len(found) == 1 else None


def _number(value: Any) -> float | None:
    if isinstance(value, Tensor):
        return None if value.is_meta or value.numel() != 1 else abs(float(value))
    return abs(float(value)) if isinstance(value, int | float) else None
