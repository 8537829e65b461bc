"""The base of the platform's resources: their values are class attributes, so no run configuration can replace them.

A field of a Dagster resource is a field of the launchpad. Whoever may launch a run could then choose the folder of
templates whose code runs, or the server that receives the data.
"""

from __future__ import annotations

from typing import Any, Self

import dagster as dg


class FixedResource(dg.ConfigurableResource[Any]):
    """A resource that has no field. Its values come from the environment or are class attributes."""

    @classmethod
    def having(cls, **values: Any) -> Self:
        """A resource with other class attributes, for tests and benchmarks. Raises AttributeError for an unknown one."""
        for name in values:
            getattr(cls, name)
        made: Self = type(cls.__name__, (cls,), {"__module__": cls.__module__, **values})()
        return made
