"""Public holidays as days of a forecast.

Prophet's own ``add_country_holidays`` looks a holiday up on the very day of an observation; a weekly series stands on
Mondays, so it would know the holidays that fall on a Monday only. And it gives each holiday an effect of its own, which
a series of some months has seen once at most. So here all holidays of a country are one kind of week with one effect.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Holidays = tuple[tuple[str, np.datetime64], ...]


def public_holidays(countries: Sequence[str], first: np.datetime64, *, last: np.datetime64) -> Holidays:
    """(``public holiday <country>``, day) of each public holiday from ``first`` to ``last``, by country and day.

    Args:
        countries: ISO 3166 codes that the package ``holidays`` knows.
        first, last: days, both included.
    """
    from holidays import country_holidays

    years = range(int(str(first)[:4]), int(str(last)[:4]) + 1)
    return tuple(
        (f"public holiday {country}", day)
        for country in countries
        for day in np.array(sorted(country_holidays(country, years=years)), dtype="datetime64[D]")
        if first <= day <= last
    )
