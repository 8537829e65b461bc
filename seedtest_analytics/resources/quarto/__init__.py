"""Weekly reports from ``quarto/weekly_report.qmd``, with the Quarto CLI or without it.

This file imports nothing, so that a render worker starts without Dagster. Import ``renderer``
(:class:`ReportRenderer`) or ``resource`` (:class:`QuartoResource`).
"""
