"""Linear and generalised linear mixed models: the formula language, the data they take and their results.

The fits are R's (lme4, brms); what is here is pure: what may be asked for, what is refused and what comes
back.
"""
