"""What can be wrong with survival data; each message gives the cause and the remedy."""

from __future__ import annotations


class SurvivalDataError(ValueError):
    """The requested model cannot be fitted to the rows."""


class NoEventsError(SurvivalDataError):
    """Every row is censored."""


class ColumnsError(SurvivalDataError):
    """Some columns prevent a fit; ``columns`` has their positions, which ``{}`` in ``template`` stands for."""

    def __init__(self, template: str, columns: tuple[int, ...]) -> None:
        super().__init__(template.format(list(columns)))
        self.template, self.columns = template, columns

    def naming(self, names: tuple[str, ...]) -> str:
        """The message with the columns' names."""
        return self.template.format(", ".join(names[column] for column in self.columns))


class CollinearityError(ColumnsError):
    """A covariate is constant or a combination of others; the likelihood is flat in its direction."""


class SeparationError(ColumnsError):
    """The likelihood has no maximum: a covariate separates events from non-events."""


class ConvergenceError(SurvivalDataError):
    """The iterations ended before the estimate converged."""
