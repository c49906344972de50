"""A slope for every seed, and the interval of their mean."""

import numpy as np
import pandas as pd
import pytest
from made_up_sizes import made_up

from hptransfer.scaling.check.slopes import MeanSlope, mean_slope, seed_slopes, sizes


def test_every_seed_has_its_own_slope():
    frame = made_up(0.3, spread=0.1, seeds=2)
    (_, group), *_ = sizes(frame[frame.step == 0], "density").groupby("kind")
    assert seed_slopes(group, "density") == pytest.approx([0.3 + 0.1 / 2**0.5, 0.3 - 0.1 / 2**0.5])


def test_places_that_differ_in_the_other_axis_have_levels_of_their_own():
    wide = made_up(0.3)
    both = pd.concat([wide, wide.assign(width=256, value=wide.value * 100)])
    (_, group), *_ = sizes(both[both.step == 0], "density").groupby("kind")
    assert seed_slopes(group, "density") == pytest.approx([0.3] * 8)


def test_the_interval_by_hand():
    found = mean_slope(np.array([0.1, 0.2, 0.3, 0.4]))  # sd 0.1291, t(3; 0.95) = 2.353
    assert (found.slope, found.error, found.seeds) == (pytest.approx(0.25), pytest.approx(0.0645, abs=1e-4), 4)
    assert found.half_width(0.05) == pytest.approx(2.353 * 0.0645, rel=1e-3)
    assert found.chance_above(0.25) == pytest.approx(0.5)
    assert found.chance_above(0.25 - 2.353 * 0.06455) == pytest.approx(0.05, rel=1e-3)
    assert found.chance_beyond(0.0) == pytest.approx(2 * found.chance_above(0.0))


def test_exact_slopes_are_known_exactly():
    assert MeanSlope(0.1, 0.0, 8).half_width(0.05) == 0.0
    assert MeanSlope(0.1, 0.0, 8).chance_beyond(0.1) == 1.0
    assert MeanSlope(-0.11, 0.0, 8).chance_beyond(0.1) == 0.0


def test_ninety_of_a_hundred_intervals_hold_the_slope_though_places_share_a_seeds_noise():
    """Noise of one seed at neighbouring densities is correlated, as that of nested masks is."""
    draw, held = np.random.default_rng(1), 0
    density = np.array([1.0, 0.25, 0.0625])
    for _ in range(500):
        noise = np.cumsum(draw.normal(0, 0.1, (8, 3)), axis=1)
        group = pd.DataFrame({"seed": np.repeat(range(8), 3), "density": np.tile(density, 8), "width": 64})
        group["value"] = np.exp(0.2 * np.log(group.density.to_numpy()) + noise.ravel())
        found = mean_slope(seed_slopes(group, "density"))
        held += abs(found.slope - 0.2) <= found.half_width(0.05)
    assert held / 500 == pytest.approx(0.9, abs=0.04)


def test_over_width_with_as_many_scores_everywhere_a_gradient_is_what_comes_around_them() -> None:
    def frame(scores: tuple[int, int], around: float) -> pd.DataFrame:
        rows = [
            {"rule": "mup", "seed": 0, "step": 0, "module": "q", "kind": "gradient", "role": "hidden", "density": 1.0}
            | {"width": width, "features": width, "value": 3.0, "scores": count, "around": around}
            for width, count in zip((16, 64), scores, strict=True)
        ]
        return pd.DataFrame(rows)

    mixed, pure = sizes(frame((8, 8), 2.0), "width"), sizes(frame((8, 8), 0.0), "width")
    assert list(mixed.value) == [32.0, 128.0]
    assert not mixed.through.any()
    assert list(pure.value) == [48.0, 192.0]
    assert pure.through.all()
    for other in (sizes(frame((8, 32), 2.0), "width"), sizes(frame((8, 8), 0.0), "density")):
        assert set(other.value) <= {48.0, 192.0, 3.0}
        assert not other.through.any()
