"""The command line: `seedtest migrate · load · simulate · demo · materialize · up · down · status · doctor`.

One module a command; :mod:`seedtest_analytics.cli.app` puts them together.
"""
