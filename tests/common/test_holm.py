"""Holm's procedure against its textbook form: rising p-values held to level / m, level / (m − 1), …"""

from __future__ import annotations

import math

import numpy as np

from hptransfer.common.holm import holm


def by_hand(p: dict[str, float], level: float) -> set[str]:
    rejected = set()
    for k, name in enumerate(sorted(p, key=p.__getitem__)):
        if p[name] > level / (len(p) - k):
            break
        rejected.add(name)
    return rejected


def rejected(p: dict[str, float], level: float) -> tuple[set[str], float]:
    return holm({name: lambda each, value=value: value <= each for name, value in p.items()}, level)


def test_it_rejects_what_the_textbook_rejects():
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = {str(k): float(v) for k, v in enumerate(rng.random(rng.integers(1, 9)) ** 4)}
        assert rejected(p, 0.05)[0] == by_hand(p, 0.05)


def test_each_rejection_eases_the_next():
    """0.04 is more than 0.05 / 3, but not once the other two are gone."""
    assert rejected({"a": 0.01, "b": 0.02, "c": 0.04}, 0.05) == ({"a", "b", "c"}, 0.05)
    assert rejected({"b": 0.02, "c": 0.04, "d": 0.5}, 0.05) == (set(), 0.05 / 3)


def test_one_hypothesis_is_held_to_the_level_itself_and_none_is_none():
    assert rejected({"a": 0.05}, 0.05)[0] == {"a"}
    assert rejected({"a": math.nextafter(0.05, 1)}, 0.05) == (set(), 0.05)
    assert rejected({}, 0.05)[0] == set()
