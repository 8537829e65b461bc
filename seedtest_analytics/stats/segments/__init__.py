"""Who is alike: scaled features, clusters, how many, how stable, what to call them, and who they were last
time.
"""
