"""Software-defined assets, one folder for each domain.

``assets.py`` declares the assets of a domain, ``checks.py`` its checks, ``week.py`` computes one week (load, compute,
publish), ``rows.py`` builds rows of tables and ``plots.py`` makes pictures. What all domains share is in ``framework``.
Only ``assets.py`` and ``checks.py`` load with the definitions; ``assets.py`` imports its week when it runs.
"""

import warnings

import dagster as dg

# Partitioned checks and mappings beyond the first partition are in preview; the pins hold the minor version.
warnings.filterwarnings("ignore", category=dg.PreviewWarning, module=r"seedtest_analytics\.")
warnings.filterwarnings("ignore", category=dg.BetaWarning, module=r"seedtest_analytics\.|dagster\.")
