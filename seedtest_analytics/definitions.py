"""The code location that `workspace.yaml` and the image load."""

from seedtest_analytics.build import build_definitions

defs = build_definitions()
