"""Good calls of the functions that users and assets call with data, by domain. ``test_odd_input`` makes them odd.

Each module has ``PROBES``, a good call by the function's name, and ``CHECKED_BY_CALLER``, the steps and kernels that only get
input that the probed functions named last have checked. A callable builds its argument when a test needs it.
"""
