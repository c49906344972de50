"""A pattern that no parameter matches is a slip of the pen."""

from __future__ import annotations

import pytest

from hptransfer.common.errors import InputError
from hptransfer.scaling.patterns import refuse_unmatched

NAMES = ["embed.weight", "layers.0.attn.q_proj.weight", "layers.1.attn.q_proj.weight", "head.weight"]


def test_of_several_the_one_that_matches_nothing_is_refused_and_the_others_pass() -> None:
    sound = ["*.q_proj.weight", "head.*", "*"]
    refuse_unmatched(sound, NAMES, where="roles")
    with pytest.raises(InputError, match=r"found 'tail\.\*'"):
        refuse_unmatched([*sound, "tail.*"], NAMES, where="roles")


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("heads.weight", "head.weight"),
        ("head.wieght", "head.weight"),
        ("*.q_porj.weight", "*.q_proj.weight"),
        ("*.atn.q_proj.weight", "*.attn.q_proj.weight"),
    ],
)
def test_the_nearest_is_named(pattern: str, meant: str) -> None:
    with pytest.raises(InputError) as refused:
        refuse_unmatched([pattern], NAMES, where="roles")
    assert str(refused.value) == (
        f"roles: no parameter has such a name; found '{pattern}'; allowed: {', '.join(NAMES)}; did you mean '{meant}'?"
    )
