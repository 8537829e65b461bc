"""Weekly series: forecast by Prophet or a local level, anomaly scores made without the scored week,
expectations.
"""
