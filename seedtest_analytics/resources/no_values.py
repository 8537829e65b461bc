"""What stands in the place of Dagster's I/O manager: assets keep their values in PostgreSQL and pass none on."""

from __future__ import annotations

from typing import Any

import dagster as dg


class NoValues(dg.ConfigurableIOManager):
    """Refuses to keep a value. Dagster's own manager pickles values below a folder that every run may choose."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Accept None, the value of an op that returns nothing; TypeError for anything else."""
        if obj is not None:
            raise TypeError(f"{context.step_key} returns a value; publish it in a table and return nothing")

    def load_input(self, context: dg.InputContext) -> Any:
        """Always TypeError: nothing was kept."""
        name = context.asset_key.to_user_string() if context.has_asset_key else context.name
        raise TypeError(f"a step asks for the value of {name}; read it from its table")
