"""Where report files are: their keys, the stores, and what waits for a store that does not answer."""
