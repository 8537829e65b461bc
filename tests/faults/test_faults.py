"""Kills at random instants, and servers, disks and neighbours that fail."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests._waits import wait_until
from tests.faults import _faults as faults
from tests.faults import _server
from tests.faults._faults import after, endure, nothing, recover
from tests.faults._platform import Ended, Platform, small_platform

SEED = 11


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with small_platform() as made:
        yield made


def words(ended: Ended) -> str:
    return " ".join(ended.output.split())


@pytest.mark.faults
@pytest.mark.timeout(0)
def test_kills_at_random_instants(platform: Platform, pytestconfig: pytest.Config) -> None:
    """Of `seedtest materialize`: the command, a process below it, PostgreSQL."""
    rng = random.Random(SEED)
    n_kills = pytestconfig.getoption("kills")
    for number in range(n_kills - n_kills // 5):
        name, fault = faults.random_kill(rng)
        (ended,) = endure(platform, fault)
        print(f"materialisation {number + 1}: {name}, exit code {ended.code}", flush=True)  # noqa: T201


@pytest.fixture(scope="module")
def server() -> Iterator[_server.Served]:
    with (
        small_platform(_server.JOBS) as platform,
        pytest.MonkeyPatch.context() as patch,
        _server.served(platform, patch) as made,
    ):
        yield made


@pytest.mark.faults
@pytest.mark.timeout(0)
def test_kills_at_the_server(server: _server.Served, pytestconfig: pytest.Config) -> None:
    """A fifth of the kills: of every process behind `seedtest up`, and of PostgreSQL."""
    rng = random.Random(SEED)
    before = server.counts()
    assert all(before[name] for name in _server.PROGRAMS), before
    for number in range(max(1, pytestconfig.getoption("kills") // 5)):
        victim = _server.VICTIMS[number % len(_server.VICTIMS)]
        started = time.monotonic()
        server.prepare()
        server.launch_all()
        time.sleep(rng.uniform(0, server.platform.seconds))
        wait_until(lambda victim=victim: server.is_there(victim) or server.is_calm())  # type: ignore[misc]
        is_struck = server.kill(victim, rng)
        server.settle(before)
        what = f"killed; runs {server.ends()}" if is_struck else "had ended"
        recover(server.platform)
        print(  # noqa: T201
            f"materialisation {number + 1}: {victim}, {what}, {time.monotonic() - started:.0f} s", flush=True
        )


@pytest.mark.faults
@pytest.mark.timeout(0)
def test_two_daemons(server: _server.Served) -> None:
    """The second one ends, and each run is executed once."""
    before = server.counts()
    server.prepare()
    n_before = server.launched_runs()
    server.launch_all()
    second = server.second_daemon()
    server.settle(before)
    assert second.returncode == 1, second.stdout
    assert "another daemon uses this storage of Dagster" in second.stdout
    assert server.launched_runs() - n_before == len(_server.LAUNCHED)
    recover(server.platform)


@pytest.mark.faults
@pytest.mark.timeout(0)
class TestServer:
    """PostgreSQL lives and does not do what it is asked."""

    @pytest.mark.parametrize("share", [0.2, 0.6])
    def test_cut_connections(self, platform: Platform, share: float) -> None:
        (ended,) = endure(platform, after(share, faults.cut_connections))
        assert ended.code in (0, 1)
        told = words(ended)
        # Connections of Dagster's storage are cut, too.
        assert (
            ended.code == 0 or "the server ended the session of" in told or "Dagster's storage cannot be used" in told
        )

    def test_read_only(self, platform: Platform) -> None:
        (ended,) = endure(platform, nothing, around=faults.read_only)
        assert ended.code == 1
        assert "the server takes no writes of" in words(ended)

    def test_few_connections(self, platform: Platform) -> None:
        (ended,) = endure(platform, nothing, around=faults.few_connections)
        assert ended.code in (0, 1)
        assert ended.code == 0 or "too many connections" in words(ended)

    def test_low_max_connections(self, platform: Platform) -> None:
        (ended,) = endure(platform, nothing, around=faults.low_max_connections)
        assert ended.code in (0, 1)
        assert ended.code == 0 or "remaining connection slots" in words(ended)

    def test_locked_table(self, platform: Platform) -> None:
        (ended,) = endure(platform, nothing, around=faults.locked_table, SEEDTEST_LOCK_TIMEOUT_SECS="1")
        assert ended.code == 1
        assert "'nightly backup'" in words(ended)
        assert "SEEDTEST_LOCK_TIMEOUT_SECS" in words(ended)

    def test_deadlock(self, platform: Platform) -> None:
        (ended,) = endure(platform, faults.deadlock)
        assert ended.code == 0, ended.output


@pytest.mark.faults
@pytest.mark.timeout(0)
class TestMachine:
    """Disk, clock and neighbours."""

    @pytest.mark.parametrize("share", [0.3, 0.7])
    def test_full_disk(self, platform: Platform, share: float) -> None:
        if not platform.is_own_disk:
            pytest.skip("only root can give the home a file system that may be filled")
        (ended,) = endure(platform, after(share, faults.full_disk))
        assert ended.code == 0 or "No space left on device" in words(ended) or "disk" in words(ended)

    def test_files_that_cannot_be_written(self, platform: Platform) -> None:
        (ended,) = endure(platform, nothing, before=faults.limit_files)
        assert ended.code == 1
        assert "File too large" in words(ended)

    def test_jump_of_the_clock(self, platform: Platform) -> None:
        (ended,) = endure(platform, nothing, before=faults.jump_of_clock)
        assert ended.code == 0, ended.output
        # The first run began before the jumps, and the last ended after them.
        assert "clock: -7200 s" in ended.output
        assert "clock: +86400 s" in ended.output

    def test_two_commands_of_one_range(self, platform: Platform) -> None:
        others: list[Ended] = []
        (ended,) = endure(platform, faults.second_command(others))
        assert [ended.code, others[0].code] == [0, 0], ended.output + others[0].output
