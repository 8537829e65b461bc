"""Weekly reports from ``quarto/weekly_report.qmd``, with the Quarto CLI or without it.

Nothing is imported here, so that a render worker starts without Dagster. Import from the modules:
``renderer`` (:class:`ReportRenderer`), ``resource`` (:class:`QuartoResource`).
"""
