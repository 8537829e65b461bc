"""Weekly series: forecasts by Prophet or a local level, anomaly scores without the scored week, expectations."""
