"""The first module of the `seedtest` command: it lets Ctrl-C end the process while the imports of the others run."""

import signal


def main() -> None:
    """Run the command; see :func:`seedtest_analytics.cli.app.main`."""
    # Python's own handler prints a traceback. The command's handler comes with the imports, and nothing is begun before.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from seedtest_analytics.cli.app import main as run

    run()
