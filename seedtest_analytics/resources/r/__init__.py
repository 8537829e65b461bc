"""R for the platform: a session in a process of its own, and one module for each model that R fits.

Nothing is imported here, so that the R process (``python -m seedtest_analytics.resources.r.worker``) starts
with neither Dagster nor pandas in it. Import from the modules: ``session`` (:class:`RSession`), ``resource``
(:class:`RResource`), ``mixed_model``, ``brms_growth``, ``mirt``.
"""
