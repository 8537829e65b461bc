"""What a weekly report says: its data, its numbers in words, its advice and its charts.

Pure functions turn a :class:`~seedtest_analytics.reporting.document.ReportDocument` into numbers, sentences and HTML.
They read no file, clock or database. The page itself is ``quarto/weekly_report.qmd``, whose cells call ``views``.
"""
