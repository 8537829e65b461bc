"""Public holidays as days of a forecast.

Prophet's ``add_country_holidays`` does not suit a weekly series. It looks a holiday up on the day of an observation, and
ours are Mondays. It also fits one effect per holiday, which a series of some months has seen once at most. Here all
holidays of a country share one effect on the week.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Holidays = tuple[tuple[str, np.datetime64], ...]


def public_holidays(countries: Sequence[str], first: np.datetime64, *, last: np.datetime64) -> Holidays:
    """(``public holiday <country>``, day) of each public holiday from ``first`` to ``last``, by country and day.

    Args:
        countries: ISO 3166 codes that the package ``holidays`` supports.
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
