"""Options of a run that override settings, shown in the launchpad.

A setting is declared once, in `seedtest_analytics/settings/`; the fields of the launchpad are derived from it here.
Options that no setting has (`as_of`, `full_compare`) are fields of the decorated class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import dagster as dg
from pydantic import Field, create_model

from seedtest_analytics.settings import SettingsGroup

Options = TypeVar("Options", bound=dg.Config)


def overrides(group: type[SettingsGroup], *names: str) -> Callable[[type[Options]], type[Options]]:
    """Add an optional field for each option of ``group``, or for ``names`` alone, to a class of run options.

    Dagster knows only plain types, so limits and allowed values are checked when
    :meth:`SettingsGroup.overridden_by` applies the options.
    """
    fields: dict[str, Any] = {}
    for name in names or group.options():
        setting = group.model_fields[name]
        kinds = {setting.annotation, *get_args(setting.annotation)}
        kind = next((plain for plain in (bool, int, float) if plain in kinds), str)
        fields[name] = (kind | None, Field(default=None, description=setting.description))

    def extend(options: type[Options]) -> type[Options]:
        return create_model(
            options.__name__, __base__=options, __doc__=options.__doc__, __module__=options.__module__, **fields
        )

    return extend
