"""What every entry of a seam promises, as suites that an entry's own tests call.

```python
from hptransfer.testing import check_optimizer


def test_lion_keeps_its_promises():
    check_optimizer("my_lab.lion:Lion")
```

Each suite is a list of small rules in the file of its seam. A broken one raises `ContractError`, whose message says
which rule, which entry, from which file, and what was found.
"""

from __future__ import annotations

from hptransfer.testing.axis import check_axis, check_scaled_axis
from hptransfer.testing.contract import ContractError
from hptransfer.testing.executor import check_executor
from hptransfer.testing.method import check_method
from hptransfer.testing.observer import check_observer
from hptransfer.testing.optimizer import check_optimizer
from hptransfer.testing.rule import check_rule
from hptransfer.testing.small import small_trial
from hptransfer.testing.task import check_task
from hptransfer.testing.trainer import check_trainer

__all__ = [
    "ContractError",
    "check_axis",
    "check_executor",
    "check_method",
    "check_observer",
    "check_optimizer",
    "check_rule",
    "check_scaled_axis",
    "check_task",
    "check_trainer",
    "small_trial",
]
