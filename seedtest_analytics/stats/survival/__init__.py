"""Time to return, and from it the probability of silence: landmark panels, Cox and Weibull models,
reasons.
"""
