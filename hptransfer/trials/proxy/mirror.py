"""The search in Optuna's own world: an Optuna storage that optuna-dashboard and `optuna.load_study` open.

The mirror is written, never read back by the search: the results folder stays the only source of truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from hptransfer.common.errors import InputError
from hptransfer.study.study import Range
from hptransfer.trials.proxy.samplers import distributions
from hptransfer.trials.proxy.tried import Tried

__all__ = ["Mirror", "frozen_trial", "importances"]

FEWEST_FOR_IMPORTANCE = 8


def frozen_trial(space: Mapping[str, Range], tried: Tried, label: str) -> FrozenTrial:
    """The run as a finished Optuna trial: its value is what the sampler was told, the rest are user attributes."""
    untold = TrialState.PRUNED if tried.status == "pruned" else TrialState.FAIL
    return optuna.trial.create_trial(
        state=untold if tried.told is None else TrialState.COMPLETE,
        value=tried.told,
        params=dict(tried.hps),
        distributions=distributions(space),
        user_attrs={
            "label": label,
            "trial_id": tried.trial.id,
            "status": tried.status,
            "seed": tried.trial.seed,
            "width": tried.trial.width,
        },
    )


class Mirror:
    """Copies runs into an Optuna storage, each once, however often the search is resumed."""

    def __init__(self, url: str, name: str, digest: str, space: Mapping[str, Range]) -> None:
        from sqlalchemy.exc import SQLAlchemyError  # here, not above: only a search that is mirrored has to load it

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        try:
            self._study = _open(url, name, digest)
        except (ValueError, ImportError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            raise InputError(
                f"this Optuna storage cannot be opened ({str(error).splitlines()[0]})",
                where="--storage",
                found=url,
                allowed="a database URL such as sqlite:///optuna.db",
            ) from None
        self._known = {t.user_attrs.get("label") for t in self._study.get_trials(deepcopy=False)}

    def add(self, tried: Sequence[Tried], prefix: str = "search") -> None:
        """Copy runs that are not there yet. A failed run is left out: it will be run again."""
        for one in tried:
            label = f"{prefix} {one.number} seed {one.trial.seed}"
            if one.status == "failed" or label in self._known:
                continue
            self._study.add_trial(frozen_trial(self._space, one, label))
            self._known.add(label)


def _open(url: str, name: str, digest: str) -> optuna.Study:
    storage = optuna.storages.get_storage(url)
    for candidate in (name, f"{name}-{digest}"):
        study = optuna.create_study(study_name=candidate, storage=storage, direction="minimize", load_if_exists=True)
        if not study.user_attrs and not study.get_trials(deepcopy=False):
            study.set_user_attr("search_digest", digest)
        if study.user_attrs.get("search_digest") == digest:
            return study
    raise ValueError(f"study {name}-{digest} is already there and was not made by this search")


def importances(space: Mapping[str, Range], tried: Sequence[Tried]) -> dict[str, float]:
    """Share of the loss each hyperparameter decides (PED-ANOVA on the better quarter); empty below eight runs."""
    told = [t for t in tried if t.told is not None]
    if len(told) < FEWEST_FOR_IMPORTANCE or len({t.told for t in told}) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize")
    study.add_trials([frozen_trial(space, t, "") for t in told])
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
