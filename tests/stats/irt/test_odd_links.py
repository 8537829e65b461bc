"""Links through anchors of equal difficulty."""

import numpy as np
import pytest

from seedtest_analytics.stats.irt.errors import LinkingError
from seedtest_analytics.stats.irt.linking import link
from seedtest_analytics.stats.irt.model import ItemParameters

IDS = np.arange(6)
SLOPES = np.linspace(0.8, 1.6, 6)


def items(b, slopes=SLOPES):
    return ItemParameters.of(IDS, slopes, b=np.asarray(b))


@pytest.mark.parametrize("jitter", [0.0, 1e-12, 1e-6, 1e-3])
def test_mean_sigma_needs_different_difficulties(jitter):
    """Six anchors of equal difficulty gave a slope of 3.9 million."""
    equal = 0.3 + jitter * np.arange(6)
    for new, old in ((equal, np.linspace(-0.3, 0.3, 6)), (np.linspace(-0.3, 0.3, 6), equal)):
        with pytest.raises(LinkingError, match="mean-sigma has no slope"):
            link(items(new), items(old), method="mean-sigma", rule=None)


@pytest.mark.parametrize("method", ["mean-mean", "haebara", "stocking-lord"])
def test_the_other_methods_link_anchors_of_equal_difficulty(method):
    found = link(items(np.full(6, 0.3), SLOPES * 1.25), items(np.full(6, 0.5)), method=method, rule=None)
    assert pytest.approx(1.25, abs=1e-3) == found.A
    assert pytest.approx(0.5 - 1.25 * 0.3, abs=1e-3) == found.B
