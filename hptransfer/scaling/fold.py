"""The trained model as its author wrote it: multipliers written into the weights, masks and hooks gone.

    plain = fold(p.model)                          # or p.fold()
    build(width=2048).load_state_dict(plain.state_dict())

A multiplier c on what a linear module gives is c·W and c·b; on what it is given, c·W alone. Both are exact, as long as
every use of a tensor takes one factor. A tied table seldom does: its rows are multiplied by α_in where they are looked
up and by α_out/m where they read out. Such a tensor is refused by name, or untied.

A tensor that the model's own `forward` uses past its module, as in `F.linear(x, self.embed.weight)`, is not seen here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.build_model import MARK
from hptransfer.scaling.dimensions import feature_dims
from hptransfer.scaling.facts import MultiplierPlace
from hptransfer.scaling.mask_hooks import check_zeros
from hptransfer.scaling.multipliers import multipliers_of
from hptransfer.scaling.sharded import is_sharded

__all__ = ["fold"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_LINEAR: set[object] = {
    kind.forward for kind in (nn.Linear, nn.Embedding, nn.EmbeddingBag, nn.MultiheadAttention, *_CONVOLUTIONS)
}
"""Known to give what is linear in their weights; any other class is tried."""


@dataclass(frozen=True)
class _Use:
    """A parameter under one of its names, and the factor that it takes there."""

    name: str
    module: nn.Module
    leaf: str
    factor: Tensor

    @property
    def words(self) -> str:
        return f"{self.name} × {float(self.factor.flatten()[0]):g}"


def fold(model: nn.Module, *, untie: bool = False) -> nn.Module:
    """A copy with the same outputs, without anything of hptransfer; the model itself is left as it is.

    `untie` gives every use of a shared tensor whose factors differ its own copy. Refuses what cannot be exact, by name.
    """
    for name, parameter in model.named_parameters():
        if is_sharded(parameter):
            raise InputError(
                "a sharded model cannot be folded",
                where=name,
                hint="gather its state_dict (get_model_state_dict with full_state_dict=True), load that into"
                " the model of the same parametrize(...) in one process, and fold this one",
            )
    check_zeros(model)
    plain = copy.deepcopy(model)
    shared = _uses(plain)
    untied = [_write(parameter, uses, untie) for parameter, uses in shared]
    _strip(plain)
    if any(untied):
        _say_untied(plain)
    return plain


def _uses(model: nn.Module) -> list[tuple[nn.Parameter, list[_Use]]]:
    """Every parameter with all its uses. A module that is listed twice multiplies at each call, and is one use."""
    factors: dict[tuple[int, str], Tensor] = {}
    for name, module in model.named_modules():
        for at, factor in multipliers_of(module).items():
            if (factor != 1).any():
                _check_exact(name, module, at, factor)
                for owner, leaf, part in _reached(module, at, factor):
                    key = (id(owner), leaf)
                    factors[key] = factors.get(key, torch.ones_like(part)) * part
    found: dict[int, tuple[nn.Parameter, list[_Use]]] = {}
    for name, module in model.named_modules():
        for leaf, parameter in module.named_parameters(recurse=False):
            factor = factors.get((id(module), leaf), torch.ones((), device=parameter.device))
            use = _Use(f"{name}.{leaf}".lstrip("."), module, leaf, factor)
            found.setdefault(id(parameter), (parameter, []))[1].append(use)
    return list(found.values())


def _reached(module: nn.Module, at: MultiplierPlace, factor: Tensor) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """The parameters into which a module's multiplier goes, and what each is multiplied by."""
    if isinstance(module, nn.MultiheadAttention):
        yield from _reached_in_attention(module, at, factor)
        return
    for leaf, parameter in module.named_parameters(recurse=False):
        if at == "output" or parameter.dim() > 1:  # the bias does not see what the module is given
            yield module, leaf, _along_outputs(module, parameter, factor)


def _along_outputs(module: nn.Module, parameter: Tensor, factor: Tensor) -> Tensor:
    """A factor per output, as that of queries in a fused matrix, on the dimension that counts outputs."""
    if not factor.dim() or parameter.dim() == 1:
        return factor
    dims = feature_dims(module, tuple(parameter.shape))
    shape = [1] * parameter.dim()
    shape[dims.out[0] if dims else 0] = -1
    return factor.view(shape)


def _reached_in_attention(
    module: nn.MultiheadAttention, at: MultiplierPlace, factor: Tensor
) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """Its output is that of `out_proj`; its input is the query, which the first rows of the packed matrix project."""
    if at == "output":
        for leaf, _ in module.out_proj.named_parameters(recurse=False):
            yield module.out_proj, leaf, factor
    elif module.in_proj_weight is None:
        yield module, "q_proj_weight", factor
    else:
        rows = torch.ones(3 * module.embed_dim, 1, device=factor.device, dtype=factor.dtype)
        rows[: module.embed_dim] = factor
        yield module, "in_proj_weight", rows


def _write(parameter: nn.Parameter, uses: list[_Use], untie: bool) -> bool:
    """Multiply a parameter by what its uses agree on; where they do not, copy it or refuse. Whether it was copied."""
    first, *further = uses
    others = [use for use in further if not torch.equal(use.factor, first.factor)]
    if others and not untie:
        raise InputError(
            "this tensor is shared, and its uses take different factors: no single matrix does the same",
            where=first.name,
            found=", ".join(use.words for use in uses),
            hint="fold(untie=True) gives each use a matrix of its own; load it into a model that is built untied"
            " (Hugging Face: tie_word_embeddings=False in its config)",
        )
    with torch.no_grad():
        for use in others:
            own = nn.Parameter(parameter.detach() * use.factor.to(parameter.dtype), parameter.requires_grad)
            setattr(use.module, use.leaf, own)
        parameter.mul_(first.factor.to(parameter.dtype))
    return bool(others)


# --- whether it is exact ---------------------------------------------------------------------------------------------


def _check_exact(name: str, module: nn.Module, at: MultiplierPlace, factor: Tensor) -> None:
    renormed = getattr(module, "max_norm", None) is not None  # nn.Embedding shortens its rows whenever they are read
    if not renormed and not nn.utils.parametrize.is_parametrized(module):
        # A factor per output acts on the last dimension: an image of a convolution, say, has its outputs elsewhere.
        known = {nn.Linear.forward} if factor.dim() else _LINEAR
        if type(module).forward in known or _is_linear_when_tried(module, at, factor):
            return
    raise InputError(
        f"the multiplier on the {at} of this {type(module).__name__} cannot be written into its weights",
        where=name,
        allowed="modules whose output is linear in their weights, without max_norm and torch parametrizations",
    )


def _is_linear_when_tried(module: nn.Module, at: MultiplierPlace, factor: Tensor) -> bool:
    """Norms have gains, a class of somebody's own anything: halve the weights, and see whether that does what ½ does.

    Where there is a factor per output, no two outputs are tried with the same one.
    """
    plain = copy.deepcopy(module).eval()
    _strip(plain)
    x = _example(plain)
    tried = torch.linspace(0.5, 1.0, factor.numel(), device=x.device).view_as(factor)
    with torch.no_grad():
        try:
            expected = plain(x) * tried if at == "output" else plain(x * tried)
            for owner, leaf, part in _reached(plain, at, tried):
                getattr(owner, leaf).mul_(part)
            return torch.allclose(plain(x), expected, rtol=1e-3, atol=1e-6)
        except Exception:  # the class wants other inputs than could be guessed: then it is not known to be linear
            return False


def _example(module: nn.Module) -> Tensor:
    """Something that the module may be given: rows of a look-up table, or vectors of its number of inputs."""
    matrices = [p for p in module.parameters(recurse=False) if p.dim() > 1]
    first = (matrices or list(module.parameters(recurse=False)))[0]
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return torch.arange(min(4, len(first)), device=first.device)[None]
    dims = feature_dims(module, tuple(first.shape))
    inputs = first.shape[dims.inp[0] if dims else -1]
    return torch.randn(4, inputs, device="cpu", generator=torch.Generator().manual_seed(0)).to(first)


# --- nothing of hptransfer -------------------------------------------------------------------------------------------


def _strip(model: nn.Module) -> None:
    """Take off every buffer, hook and attribute of this package."""
    for module in model.modules():
        for name in [n for n in (*module._buffers, *vars(module)) if n.startswith(MARK)]:
            delattr(module, name)
        for hooks in (module._forward_hooks, module._forward_pre_hooks, module._load_state_dict_post_hooks):
            for key in [k for k, hook in hooks.items() if _is_ours(hook)]:
                del hooks[key]
                if hooks is module._forward_pre_hooks:
                    module._forward_pre_hooks_with_kwargs.pop(key, None)


def _is_ours(hook: object) -> bool:
    return str(getattr(hook, "__module__", "")).startswith("hptransfer.")


def _say_untied(model: nn.Module) -> None:
    """If its config says so, a Hugging Face model is saved without one of the two, and tied anew when it is loaded."""
    for module in model.modules():
        config = getattr(module, "config", None)
        if config is not None and getattr(config, "tie_word_embeddings", False):
            config.tie_word_embeddings = False
