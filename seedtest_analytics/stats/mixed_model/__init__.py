"""Linear and generalised linear mixed models: formula language, input data and results. R fits them (``resources/r``)."""
