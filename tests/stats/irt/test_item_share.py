"""How many of the answered items of a published log have parameters."""

import pandas as pd
import pytest

from benchmarks.item_bank import DEFAULTS, OLD, first_answers, items_with_parameters
from tests._shared import shared


@pytest.mark.reference
@pytest.mark.parametrize("end", ["2006-05-15", "2007-05-28"], ids=["the fullest week", "the last week"])
def test_with_the_defaults_most_answered_items_have_parameters(end: str) -> None:
    """ASSISTments. The old window of 30 days gave parameters to 5 % and 0 % of them."""
    answers = first_answers(shared("data/attempts_assist17_small.parquet"))
    at = pd.Timestamp(end, tz="UTC")
    n_items = answers.loc[answers["completed_at"] < at, "item_id"].nunique()
    assert len(items_with_parameters(answers, at, DEFAULTS)) >= 0.81 * n_items
    assert len(items_with_parameters(answers, at, OLD)) < 0.1 * n_items
