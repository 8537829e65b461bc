"""R for the platform: a session in a separate process, and one module for each model that R fits.

This file imports nothing, so that the R process (``python -m seedtest_analytics.resources.r.worker``) starts without
Dagster and pandas. Import from ``session``, ``resource``, ``mixed_model``, ``brms_growth`` or ``mirt``.
"""
