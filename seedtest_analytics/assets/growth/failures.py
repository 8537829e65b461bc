"""Errors of Stan and R as failures of a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from seedtest_analytics.resources.r.errors import (
    RCrashedError,
    RError,
    RNotFoundError,
    RPackageMissingError,
    RTimeoutError,
)
from seedtest_analytics.resources.stan.resource import StanRunError
from seedtest_analytics.resources.stan.toolchains import StanBuildError, StanUnavailableError


@contextmanager
def model_failures(r_timeout_variable: str, *, is_r_optional: bool = False) -> Iterator[None]:
    """Turn errors of Stan and R into failures of the step, retried only if a retry can help.

    ``r_timeout_variable`` names the environment variable that limits a call of R. If R is optional, the errors of a
    missing R pass through.
    """
    try:
        yield
    except (StanRunError, RCrashedError) as error:
        raise dg.Failure(str(error)) from None
    except StanUnavailableError as error:
        raise dg.Failure(f"{error} That is GROWTH_BACKEND=laplace.", allow_retries=False) from None
    except RTimeoutError as error:
        raise dg.Failure(f"{error} ({r_timeout_variable}).", allow_retries=False) from None
    except (StanBuildError, RError) as error:
        if is_r_optional and isinstance(error, (RNotFoundError, RPackageMissingError)):
            raise
        raise dg.Failure(str(error), allow_retries=False) from None
