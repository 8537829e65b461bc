"""Weekly KPIs that need more than SQL's arithmetic."""
