"""What a weekly report says: the data it is made from, its numbers in words, its advice and its charts.

Pure functions from a :class:`~seedtest_analytics.reporting.document.ReportDocument` to numbers,
sentences and HTML. The page itself is ``quarto/weekly_report.qmd``, whose cells call ``views``; nothing
here reads a file, a clock or a database.
"""
