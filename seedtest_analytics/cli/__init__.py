"""The command line `seedtest`: one module per command; :mod:`seedtest_analytics.cli.app` registers them.

Commands parse, call and print; they compute nothing. Heavy libraries are imported inside commands to keep `--help` fast.
"""
