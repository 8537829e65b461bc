"""The Stan toolchain: building, caching, locking, faults, and private run folders.

Tests that do not need the compiler use a toolchain double that builds scripts instead of executables; `stan_runner`
compiles the growth program for real, once per machine.
"""

import json
import logging
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks._cohorts import simulate_cohort
from seedtest_analytics.resources.stan import data_file as stan_data
from seedtest_analytics.resources.stan import resource as stan
from seedtest_analytics.resources.stan import toolchains
from seedtest_analytics.resources.stan.executables import ExecutableCache, default_cache_dir
from seedtest_analytics.resources.stan.resource import StanResource, StanRunError, StanRunner, import_cmdstanpy
from seedtest_analytics.resources.stan.toolchains import (
    CmdStanToolchain,
    StanBuildError,
    StanUnavailableError,
    WheelToolchain,
    find_cmdstan,
    find_toolchain,
)
from seedtest_analytics.stats.growth.data import growth_data
from seedtest_analytics.stats.growth.priors import GrowthPriors
from seedtest_analytics.stats.growth.stan import MARGINAL, StanProgram, StanSettings, fit_stan, marginal_data
from tests._stan import make_stan_runner


@pytest.fixture(scope="session")
def stan_runner():
    return make_stan_runner()


@pytest.fixture(scope="module", autouse=True)
def cmdstanpy_of_the_process():
    """The first import of cmdstanpy creates a folder; import it before a test counts the remaining folders."""
    import_cmdstanpy()


SHORT = StanSettings(chains=2, warmup=100, draws=100, seed=3)


class Scripts:
    """A toolchain whose executables are shell scripts."""

    name = "scripts"

    def __init__(self, script="#!/bin/sh\nexit 0\n", delay_s=0.0, version="1"):
        self.script, self.delay_s, self.version, self.builds = script, delay_s, version, 0

    def fingerprint(self):
        return self.version

    def build(self, program, header, executable):
        self.builds += 1
        time.sleep(self.delay_s)
        executable.write_text(self.script)
        executable.chmod(0o755)


@pytest.fixture
def program(tmp_path):
    source = tmp_path / "model.stan"
    source.write_text("parameters { real x; } model { x ~ normal(0, 1); }")
    return source


def small_problem():
    c = simulate_cohort(20, seed=1)
    data = growth_data(c.student, c.week, score=c.score)
    return marginal_data(
        data, GrowthPriors(), location=np.array([0.5, 0.01, -2.4, -4.7, 0, -2.5]), scale=0.1 * np.eye(6)
    )


class TestCache:
    def test_a_program_is_built_once(self, tmp_path, program):
        tools, cache = Scripts(), ExecutableCache(tmp_path / "cache")
        first = cache.executable(tools, program)
        assert cache.executable(tools, program) == first
        assert tools.builds == 1
        assert json.loads((first.parent / "manifest.json").read_text())["toolchain"] == "scripts"

    def test_program_header_and_toolchain_each_make_another_entry(self, tmp_path, program):
        cache, header = ExecutableCache(tmp_path / "cache"), tmp_path / "f.hpp"
        header.write_text("// one")
        paths = [cache.executable(Scripts(), program), cache.executable(Scripts(version="2"), program)]
        paths.append(cache.executable(Scripts(), program, header=header))
        header.write_text("// two")
        paths.append(cache.executable(Scripts(), program, header=header))
        program.write_text("parameters { real y; }")
        paths.append(cache.executable(Scripts(), program))
        assert len(set(paths)) == 5

    @pytest.mark.parametrize("damage", ["truncate", "flip", "manifest", "mode", "delete"])
    def test_a_damaged_executable_is_built_again(self, tmp_path, program, damage, caplog):
        tools, cache = Scripts(), ExecutableCache(tmp_path / "cache")
        executable = cache.executable(tools, program)
        if damage == "truncate":
            executable.write_bytes(executable.read_bytes()[:5])
        elif damage == "flip":
            executable.write_bytes(executable.read_bytes()[:-1] + b"x")
        elif damage == "manifest":
            (executable.parent / "manifest.json").write_text("{")
        elif damage == "mode":
            executable.chmod(stat.S_IRUSR)
            if os.geteuid() == 0 and os.access(executable, os.X_OK):
                pytest.skip("root may run anything")
        else:
            executable.unlink()
        with caplog.at_level(logging.WARNING):
            assert cache.executable(tools, program) == executable
        assert tools.builds == 2
        assert executable.read_text() == tools.script
        assert "is damaged; building it again" in caplog.text

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
    def test_the_executable_of_another_user_is_never_run(self, tmp_path, program):
        tools, cache = Scripts(), ExecutableCache(tmp_path / "cache")
        executable = cache.executable(Scripts(script="#!/bin/sh\necho stranger\n"), program)
        os.chown(executable, 12345, 12345)
        assert cache.executable(tools, program).read_text() == tools.script
        assert executable.stat().st_uid == os.geteuid()

    def test_a_failed_build_leaves_nothing(self, tmp_path, program):
        class Failing(Scripts):
            def build(self, program, header, executable):
                executable.write_text("half")
                raise StanBuildError("no")

        cache = ExecutableCache(tmp_path / "cache")
        with pytest.raises(StanBuildError):
            cache.executable(Failing(), program)
        assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]
        assert cache.executable(Scripts(), program).exists()

    def test_what_a_killed_build_left_goes_with_the_next(self, tmp_path, program):
        cache = ExecutableCache(tmp_path / "cache")
        entry = cache.executable(Scripts(), program).parent
        shutil.rmtree(entry)
        half = tmp_path / "cache" / f"build-{entry.name}-killed"
        (half / "entry").mkdir(parents=True)
        another = tmp_path / "cache" / "build-another-0123-running"
        another.mkdir()
        assert cache.executable(Scripts(), program).exists()
        assert not half.exists()
        assert another.exists()

    def test_two_at_once_build_once(self, tmp_path, program):
        tools, cache = Scripts(delay_s=0.3), ExecutableCache(tmp_path / "cache")
        found = []
        threads = [threading.Thread(target=lambda: found.append(cache.executable(tools, program))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tools.builds == 1
        assert len(found) == 4
        assert len(set(found)) == 1

    def test_the_folder_is_found_by_environment(self, monkeypatch, tmp_path):
        monkeypatch.setenv("SEEDTEST_CACHE_DIR", str(tmp_path / "a"))
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "b"))
        assert default_cache_dir() == tmp_path / "a"
        monkeypatch.delenv("SEEDTEST_CACHE_DIR")
        assert default_cache_dir() == tmp_path / "b" / "cache"
        monkeypatch.delenv("DAGSTER_HOME")
        assert default_cache_dir() == Path.home() / ".cache" / "seedtest"


class TestData:
    def test_what_is_written_is_what_was_given(self, tmp_path, monkeypatch):
        """Numbers of any size are exact to the last bit; rows are written in blocks."""
        monkeypatch.setattr(stan_data, "_BLOCK_ROWS", 3)
        matrix = np.asfortranarray(np.random.default_rng(1).lognormal(0, 30, (7, 2)))
        matrix[0] = [-1e-300, 3.0]
        data = {
            "D": 7,
            "designs": matrix,
            "totals": matrix[:, 1],
            "reference": [np.float64(0.1), 1],
            "none": matrix[:0],
        }
        stan_data.write_stan_json(tmp_path / "data.json", data)
        read = json.loads((tmp_path / "data.json").read_text())
        assert read == {
            "D": 7,
            "designs": matrix.tolist(),
            "totals": matrix[:, 1].tolist(),
            "reference": [0.1, 1],
            "none": [],
        }

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("shape", [(), (2,), (2, 2)])
    def test_what_is_no_number_is_refused(self, tmp_path, value, shape):
        with pytest.raises(ValueError):
            stan_data.write_stan_json(tmp_path / "data.json", {"x": np.full(shape, value)})


class TestToolchains:
    def test_without_compiler_the_message_says_what_to_install(self, monkeypatch):
        monkeypatch.setattr(toolchains, "find_cmdstan", lambda: None)
        monkeypatch.setattr(toolchains.shutil, "which", lambda name: None)
        with pytest.raises(StanUnavailableError, match=r"apt-get install g\+\+.*install_cmdstan.*laplace"):
            find_toolchain()

    def test_without_wheel_the_message_says_so(self, monkeypatch):
        monkeypatch.setattr(toolchains, "find_cmdstan", lambda: None)
        monkeypatch.setattr(toolchains, "_find_httpstan", lambda: None)
        with pytest.raises(StanUnavailableError, match="pip install httpstan"):
            find_toolchain()

    def test_an_installed_cmdstan_comes_first(self, monkeypatch, tmp_path):
        root = self.fake_cmdstan(tmp_path)
        monkeypatch.setenv("CMDSTAN", str(root))
        assert find_cmdstan() == root
        if toolchains.shutil.which("make"):
            assert find_toolchain() == CmdStanToolchain(root)

    def test_a_cmdstan_stripped_of_its_sources_is_passed_over(self, monkeypatch, tmp_path):
        """Importing prophet points cmdstanpy at a CmdStan that cannot compile."""
        root = self.fake_cmdstan(tmp_path)
        (root / "makefile").unlink()
        monkeypatch.setenv("CMDSTAN", str(root))
        assert find_cmdstan() is None

    @pytest.mark.skipif(not toolchains.shutil.which("make"), reason="needs make")
    def test_cmdstan_is_asked_as_its_makefile_wants_it(self, tmp_path, program):
        root = self.fake_cmdstan(tmp_path)
        (root / "makefile").write_text(
            "%: %.stan\n\t@echo '$(STANCFLAGS) $(USER_HEADER)' > $@.args\n\t@cp $< $@\n\t@chmod +x $@\n"
        )
        tools, header = CmdStanToolchain(root), tmp_path / "f.hpp"
        header.write_text("// functions")
        executable = ExecutableCache(tmp_path / "cache").executable(tools, program, header=header)
        assert executable.read_text() == program.read_text()
        assert executable.with_suffix(".args").read_text().split() == ["--allow-undefined", str(header)]
        assert tools.name == "cmdstan 2.36.0"

    def test_compiler_errors_are_shown(self, tmp_path, program):
        program.write_text("parameters { real x; } model { x ~ gaussian(0, 1); }")
        wheel = toolchains._find_httpstan()
        assert wheel is not None
        with pytest.raises(StanBuildError, match=r"translating model\.stan failed(?s:.*)gaussian"):
            WheelToolchain(wheel, sys.executable).build(program, None, executable=tmp_path / "model")

    def test_a_killed_compiler_is_explained(self):
        with pytest.raises(StanBuildError, match="memory ran out"):
            toolchains._run(["sh", "-c", "kill -9 $$"], "compiling")

    def test_a_compiler_that_hangs_is_stopped(self, monkeypatch):
        monkeypatch.setattr(toolchains, "COMPILE_TIMEOUT_S", 0.1)
        with pytest.raises(StanBuildError, match=r"longer than 0\.1 s"):
            toolchains._run(["sleep", "5"], "compiling")

    @staticmethod
    def fake_cmdstan(tmp_path):
        root = tmp_path / "cmdstan-2.36.0"
        (root / "bin").mkdir(parents=True)
        (root / "stan" / "src" / "stan").mkdir(parents=True)
        (root / "bin" / "stanc").write_text("#!/bin/sh\n")
        (root / "makefile").write_text("")
        return root


class TestRuns:
    def test_draws_are_those_of_the_seed_and_the_scratch_folder_goes(self, stan_runner, monkeypatch, tmp_path):
        import cmdstanpy  # noqa: F401 - makes a folder when first imported, gone at exit

        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        one = stan_runner.sample(MARGINAL, small_problem(), settings=SHORT)
        two = stan_runner.sample(MARGINAL, small_problem(), settings=SHORT)
        other = stan_runner.sample(MARGINAL, small_problem(), settings=StanSettings(2, 100, draws=100, seed=4))
        assert one.variables["z"].shape == (2, 100, 6)
        assert one.energy.shape == one.divergent.shape == one.treedepth.shape == (2, 100)
        np.testing.assert_array_equal(one.variables["z"], two.variables["z"])
        assert not np.array_equal(one.variables["z"], other.variables["z"])
        assert not np.array_equal(one.variables["z"][0], one.variables["z"][1])
        assert list(tmp_path.iterdir()) == []
        assert "stan" in one.toolchain

    def test_chains_stay_chains(self, stan_runner):
        """Transformed parameters of each chain belong to its own z."""
        draws = stan_runner.sample(MARGINAL, small_problem(), settings=SHORT)
        theta = np.array([0.5, 0.01, -2.4, -4.7, 0, -2.5]) + 0.1 * draws.variables["z"]
        np.testing.assert_allclose(draws.variables["sigma"], np.exp(theta[..., 5]), rtol=1e-6)

    def test_two_runs_at_once_do_not_meet(self, stan_runner):
        results = {}

        def run(seed):
            results[seed] = stan_runner.sample(
                MARGINAL, small_problem(), settings=StanSettings(2, 100, draws=100, seed=seed)
            )

        threads = [threading.Thread(target=run, args=(seed,)) for seed in (3, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        alone = stan_runner.sample(MARGINAL, small_problem(), settings=SHORT)
        np.testing.assert_array_equal(results[3].variables["z"], alone.variables["z"])
        assert not np.array_equal(results[4].variables["z"], alone.variables["z"])

    def test_wrong_data_are_explained_and_nothing_stays(self, stan_runner, monkeypatch, tmp_path):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with pytest.raises(StanRunError, match=r"a chain failed(?s:.*)variable name=reference"):
            stan_runner.sample(MARGINAL, small_problem() | {"reference": 1.0}, settings=SHORT)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("script", ["kill -9 $$", "echo boom; exit 3"])
    def test_a_chain_that_dies_is_an_error(self, tmp_path, program, script, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
        (tmp_path / "scratch").mkdir()
        tools = Scripts(f'#!/bin/sh\n[ "$1" = info ] && exit 0\n{script}\n')
        runner = StanRunner(tmp_path / "cache", toolchain=tools)
        with pytest.raises(StanRunError, match="failed or was killed"):
            runner.sample(StanProgram(program), {"x": 1}, settings=SHORT)
        assert list((tmp_path / "scratch").iterdir()) == []

    def test_a_chain_that_takes_too_long_is_stopped(self, tmp_path, program):
        tools = Scripts('#!/bin/sh\n[ "$1" = info ] && exit 0\nexec sleep 20\n')
        runner = StanRunner(tmp_path / "cache", timeout_s=0.3, toolchain=tools)
        started = threading.Event()
        started.set()
        with pytest.raises(StanRunError, match=r"longer than 0\.3 s"):
            runner.sample(StanProgram(program), {"x": 1}, settings=SHORT)

    @pytest.mark.slow
    def test_a_corrupt_executable_is_compiled_again_and_draws_the_same(self, stan_runner, tmp_path, caplog):
        """Overwrites a page of the real executable; compiling takes half a minute."""
        entry = stan_runner.executable(MARGINAL).parent
        shutil.copytree(entry, tmp_path / "stan" / entry.name)
        copy = tmp_path / "stan" / entry.name / MARGINAL.source.stem
        content = bytearray(copy.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 4096] = bytes(4096)
        copy.write_bytes(content)
        again = StanRunner(tmp_path, timeout_s=300).sample(MARGINAL, small_problem(), settings=SHORT)
        assert "is damaged; building it again" in caplog.text
        sound = stan_runner.sample(MARGINAL, small_problem(), settings=SHORT)
        np.testing.assert_array_equal(again.variables["z"], sound.variables["z"])

    def test_progress_goes_to_the_given_logger(self, stan_runner, caplog, monkeypatch, capfd):
        monkeypatch.setattr(stan, "PROGRESS_EVERY_S", 0.05)
        with caplog.at_level(logging.INFO):
            stan_runner.sample(
                MARGINAL, small_problem(), settings=StanSettings(chains=2, warmup=200, draws=4000, seed=1)
            )
        assert "Stan: Chain [1] start processing" in caplog.text
        assert "of 8000 draws" in caplog.text
        assert capfd.readouterr().err == ""

    def test_the_driver_refuses_what_it_does_not_know(self, stan_runner):
        if not isinstance(stan_runner.toolchain, WheelToolchain):
            pytest.skip("CmdStan is installed, so the driver is not used")
        executable = stan_runner.executable(MARGINAL)
        for arguments, message in (
            (["method=optimize"], "only sample is supported"),
            (["method=sample", "metric=dense_e"], "only diag_e is supported"),
            (["method=sample", "surprise=1"], "argument not supported here: surprise=1"),
        ):
            done = toolchains.subprocess.run([executable, *arguments], capture_output=True, text=True, check=False)
            assert done.returncode == 64
            assert message in done.stderr


def test_the_resource_looks_for_nothing_until_it_is_used(monkeypatch, tmp_path):
    def forbidden():
        raise AssertionError("looked for a toolchain")

    monkeypatch.setattr(stan, "find_toolchain", forbidden)
    runner = StanResource.having(cache_dir=tmp_path / "c", timeout_s=5).runner(logging.getLogger("x"))
    assert runner.timeout_s == 5
    assert not (tmp_path / "c").exists()
    with pytest.raises(AssertionError, match="looked"):
        _ = runner.toolchain


def test_fit_stan_reports_its_toolchain_and_seed(stan_runner):
    c = simulate_cohort(30, seed=2)
    posterior = fit_stan(growth_data(c.student, c.week, score=c.score), stan_runner, settings=SHORT)
    assert posterior.seed == 3
    assert posterior.toolchain == stan_runner.toolchain.name
    assert posterior.sampler is not None
