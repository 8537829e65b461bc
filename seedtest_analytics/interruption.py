"""Ends a command within two seconds of Ctrl-C or SIGTERM, at any moment.

Python runs a signal handler between two of its own instructions, and Dagster delays interruptions to moments of its
choice. A statement, a numerical kernel or a wait for a pool can therefore delay a handler for minutes. A thread that reads
the process's wake-up descriptor sees the signal at once. It runs the actions that :func:`on_interruption` registers
(cancel the statements, end the run), ends the child processes, and then the process. Every write of the platform is one
transaction, so the server rolls back what is unfinished.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ACTIONS_SECONDS = 1.5
"""Time for all actions together; a server that does not answer cannot delay the end any further."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = "\x1b[?25h"

Action = Callable[[], None]

_actions: list[Action] = []
_spared: set[int] = set()
_is_ending = threading.Event()


@contextmanager
def on_interruption(action: Action) -> Iterator[None]:
    """Run ``action`` if the command is interrupted during the block. It runs in a thread and must not wait for long."""
    _actions.append(action)
    try:
        yield
    finally:
        _wait_for_the_end()
        _actions.remove(action)


def register(action: Action) -> None:
    """Run ``action`` if the command is interrupted at any time from now on."""
    _actions.append(action)


def spare(session: int) -> None:
    """Let the processes of this session live when the command is interrupted, because they outlive it on purpose."""
    _spared.add(session)


@contextmanager
def interruptible() -> Iterator[None]:
    """End the process within seconds of SIGINT or SIGTERM during the block; the exit code is 128 plus the signal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)  # noqa: FBT003 (has no keyword)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        # The wake-up descriptor only gets signals that have a handler. A shell may have ignored SIGINT.
        signal.signal(number, _leave_to_the_thread)
    descriptor = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    # During a step of a run, Dagster sends the descriptors 1 and 2 to files.
    terminal = os.dup(1 if os.isatty(1) else 2)
    watch = threading.Thread(target=_watch, args=(ours, terminal), name="interruption", daemon=True)
    watch.start()
    try:
        yield
    finally:
        _wait_for_the_end()
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        theirs.close()
        watch.join()
        os.close(terminal)


def _leave_to_the_thread(number: int, frame: FrameType | None) -> None:
    pass


def _wait_for_the_end() -> None:
    """Do not go on after an interruption: a cancelled statement raises an error, which nobody is to see or to handle."""
    while _is_ending.is_set():
        time.sleep(ACTIONS_SECONDS)


def _watch(signals: socket.socket, terminal: int) -> None:
    with signals:
        while received := signals.recv(1):
            if received[0] in _SIGNALS:
                _is_ending.set()
                _finish(received[0], terminal)
                os._exit(128 + received[0])


def _finish(number: int, terminal: int) -> None:
    cause = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    with contextlib.suppress(OSError):
        cursor = _SHOW_CURSOR if os.isatty(terminal) else ""
        os.write(terminal, f"{cursor}\nstopping after {cause}; unfinished work is rolled back\n".encode())
    threads = [threading.Thread(target=_quietly, args=(action,), daemon=True) for action in reversed(_actions)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + ACTIONS_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    _end_children()


def _quietly(action: Action) -> None:
    with contextlib.suppress(Exception):
        action()


def _end_children() -> None:
    """Kill the processes below this one, such as R, Stan and renderers, which run in sessions of their own."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) not in _spared:
                process.kill()
