"""Items, weeks and scales for tests of pure functions."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd

from seedtest_analytics.assets.psychometrics.scale.current import Scale
from seedtest_analytics.partitions import Week
from seedtest_analytics.stats.irt.result import ItemEstimates

WEEK = Week(dt.date(2026, 3, 2), dt.datetime(2026, 3, 8, 15, tzinfo=dt.UTC), timezone="Asia/Seoul")


def scale_of(*difficulties: float, mean: float = 0.0, sd: float = 1.0) -> Scale:
    """Items 1, 2, … of discrimination 1 and the given difficulties."""
    n = len(difficulties)
    items = pd.DataFrame({"item_id": np.arange(1, n + 1), "a": 1.0, "b": list(difficulties), "c": np.nan})
    return Scale("run-1", items, model="2PL", group_mean=mean, group_sd=sd)


def estimates(
    ids: Sequence[int], *, a: Sequence[float], b: Sequence[float], se: float = 0.1, flags: Sequence[str | None] = ()
) -> ItemEstimates:
    """Estimated items; a flagged item is set aside and has no parameters."""
    n = len(ids)
    flag = np.array(list(flags) or [None] * n, dtype=object)
    is_known = np.array([one is None for one in flag])
    known = np.where(is_known, 1.0, np.nan)
    return ItemEstimates(
        np.array(ids),
        a=np.array(a) * known,
        b=np.array(b) * known,
        c=np.zeros(n) * known,
        se_a=se * known,
        se_b=se * known,
        se_c=np.full(n, np.nan),
        covariance=np.tile(np.eye(3) * se**2, (n, 1, 1)),
        n_responses=np.arange(100, 100 + n),
        p_correct=np.full(n, 0.5),
        status=np.where(is_known, "estimated", "set_aside"),
        flag=flag,
        component=np.where(is_known, 0, -1),
    )
