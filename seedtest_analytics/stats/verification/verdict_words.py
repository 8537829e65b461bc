"""The words of a decision about a prediction. Tables and reports read them without the statistics behind them."""

TOO_EARLY = "too_early"
"""Too few outcomes are known: the model's number, with limits that say so."""
AS_IS = "as_is"
"""Past outcomes do not contradict the model."""
RECALIBRATED = "recalibrated"
"""The model's number, corrected by past outcomes."""
BASE_RATE = "base_rate"
"""The share of all in past weeks, which predicted better than the model."""
WITHHELD = "withheld"
"""No number."""
VERDICTS = (TOO_EARLY, AS_IS, RECALIBRATED, BASE_RATE, WITHHELD)
