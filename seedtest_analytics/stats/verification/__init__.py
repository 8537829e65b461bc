"""Scoring of predictions when the truth has arrived: probabilities, expectations and intervals, each beside a
baseline.
"""
