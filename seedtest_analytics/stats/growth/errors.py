"""What can go wrong with a growth fit; the caller acts differently on each."""


class GrowthDataError(ValueError):
    """The scores cannot be fitted as they are; the message names the rows and the remedy."""


class UnusablePosteriorError(RuntimeError):
    """The fit exists but its diagnostics fall short, so it cannot predict anything."""
