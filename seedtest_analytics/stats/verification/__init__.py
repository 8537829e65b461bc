"""Scores of predictions against outcomes: probabilities, expectations and intervals, each beside a baseline."""
