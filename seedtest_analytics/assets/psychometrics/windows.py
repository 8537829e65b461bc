"""The recent and the previous window of answers, whose abilities `I_t` compares."""

WINDOW_DAYS = 14
