"""Weekly KPIs that need more than the arithmetic of SQL."""
