"""Software-defined assets, one module a stage.

An asset loads, calls one statement or one pure function, validates, publishes, reports. What every asset must
declare is filled in by :mod:`seedtest_analytics.assets.declare`.
"""
