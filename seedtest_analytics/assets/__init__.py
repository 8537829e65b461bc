"""Software-defined assets, one module a stage.

An asset loads, calls one statement or one pure function, validates, publishes, reports. What every asset must
declare is filled in by :mod:`seedtest_analytics.assets.framework.declare`.
"""

import warnings

import dagster as dg

# Partitioned checks and mappings beyond the first partition are used knowingly; the pins hold the minor version.
warnings.filterwarnings("ignore", category=dg.PreviewWarning, module=r"seedtest_analytics\.")
warnings.filterwarnings("ignore", category=dg.BetaWarning, module=r"seedtest_analytics\.|dagster\.")
