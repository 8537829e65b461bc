"""The code location: `workspace.yaml` and the image load this module."""

from seedtest_analytics.build import build_definitions

defs = build_definitions()
