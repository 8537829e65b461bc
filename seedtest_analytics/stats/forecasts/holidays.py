"""Public holidays as days of a forecast.

Prophet's ``add_country_holidays`` does not suit a weekly series. It looks a holiday up on the day of an observation, and
ours are Mondays. It also fits one effect per holiday, which a series of some months has seen once at most. Here all
holidays of a country share one effect on the week.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FIRST_DAY, LAST_DAY = np.datetime64("1900-01-01"), np.datetime64("2200-12-31")
Holidays = tuple[tuple[str, np.datetime64], ...]


def public_holidays(countries: Sequence[str], first: np.datetime64, *, last: np.datetime64) -> Holidays:
    """(``public holiday <country>``, day) of each public holiday from ``first`` to ``last``, by country and day.

    Args:
        countries: ISO 3166 codes that the package ``holidays`` supports.
        first, last: days from 1900 to 2200, both included.

    Raises:
        ValueError: for a country that the package does not know, or what is not such a day.
    """
    from holidays import country_holidays, list_supported_countries

    known = list_supported_countries()
    unknown = [country for country in countries if not isinstance(country, str) or country not in known]
    if unknown:
        raise ValueError(f"no public holidays are known of {unknown}; give ISO 3166 codes, such as KR")
    for name, day in (("first", first), ("last", last)):
        if not isinstance(day, np.datetime64) or not FIRST_DAY <= day <= LAST_DAY:
            raise ValueError(f"{name} must be a day from {FIRST_DAY} to {LAST_DAY}, not {day!r}")
    years = range(int(str(first)[:4]), int(str(last)[:4]) + 1)
    return tuple(
        (f"public holiday {country}", day)
        for country in countries
        for day in np.array(sorted(country_holidays(country, years=years)), dtype="datetime64[D]")
        if first <= day <= last
    )
