"""Time to the next session and the probability of silence: landmark panels, Cox and Weibull models, reasons."""
