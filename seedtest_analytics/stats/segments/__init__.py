"""Segments of students: scaled features, clustering, stability, identity over runs, names and a map."""
