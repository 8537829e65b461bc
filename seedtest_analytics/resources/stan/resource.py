"""Stan for the assets: compile once, sample in a folder of one's own, progress into the run's log."""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from seedtest_analytics.resources.stan.data_file import write_stan_json
from seedtest_analytics.resources.stan.executables import ExecutableCache, default_cache_dir
from seedtest_analytics.resources.stan.toolchains import Toolchain, find_toolchain
from seedtest_analytics.scratch import scratch_folder

if TYPE_CHECKING:
    from seedtest_analytics.stats.growth.stan import StanDraws, StanProgram, StanSettings

PROGRESS_EVERY_S = 5.0
SHOWN_ERROR_CHARACTERS = 2000

Logger = logging.Logger | logging.LoggerAdapter


class StanRunError(RuntimeError):
    """A chain failed, was killed or took too long; nothing of the run is kept."""


class StanRunner:
    """Samples Stan programs through cmdstanpy.

    Args:
        cache_dir: where executables are kept.
        logger: gets compile and sampling progress.
        timeout_s: a chain that runs longer is stopped; None for no limit.
        toolchain: for tests; else what the machine has, looked for on first use.
    """

    def __init__(
        self,
        cache_dir: Path,
        logger: Logger | None = None,
        *,
        timeout_s: float | None = None,
        toolchain: Toolchain | None = None,
    ) -> None:
        self.logger = logger or logging.getLogger(__name__)
        self.timeout_s = timeout_s
        self._toolchain = toolchain
        self._cache = ExecutableCache(cache_dir / "stan", self.logger)

    @property
    def toolchain(self) -> Toolchain:
        """What compiles; raises `StanUnavailableError` where nothing can."""
        if self._toolchain is None:
            self._toolchain = find_toolchain()
        return self._toolchain

    def executable(self, program: StanProgram) -> Path:
        """The program's executable, compiled if it has to be."""
        return self._cache.executable(self.toolchain, program.source, header=program.header)

    def sample(self, program: StanProgram, data: Mapping[str, Any], *, settings: StanSettings) -> StanDraws:
        """Draw from the program's posterior (`stats.growth.stan.StanSampler`).

        Raises:
            StanUnavailableError: neither CmdStan nor a compiler is here.
            StanBuildError: the program does not compile.
            StanRunError: a chain failed or was stopped.
        """
        cmdstanpy = import_cmdstanpy()
        executable = self.executable(program)
        with scratch_folder("sampling") as scratch, self._cmdstanpy_log():
            data_file = scratch / "data.json"
            write_stan_json(data_file, data)
            output = scratch / "output"
            output.mkdir()
            model = cmdstanpy.CmdStanModel(exe_file=str(executable))
            try:
                with self._progress(output, settings.chains * settings.draws):
                    fit = model.sample(
                        data=str(data_file),
                        chains=settings.chains,
                        parallel_chains=min(settings.chains, _usable_cpus()),
                        iter_warmup=settings.warmup,
                        iter_sampling=settings.draws,
                        seed=settings.seed,
                        adapt_delta=settings.adapt_delta,
                        max_treedepth=settings.max_treedepth,
                        output_dir=str(output),
                        show_progress=False,
                        timeout=self.timeout_s,
                    )
                return _collect(fit, self.toolchain.name)
            except TimeoutError:
                raise StanRunError(
                    f"{program.source.stem}: a chain ran longer than {self.timeout_s:g} s and was stopped; "
                    "nothing was kept. Draw fewer samples, or allow more time"
                ) from None
            except (RuntimeError, ValueError) as error:
                raise StanRunError(_explain(program, output, error=error)) from error

    @contextmanager
    def _cmdstanpy_log(self) -> Iterator[None]:
        """Send what cmdstanpy logs to the run's logger, and not to the console as well."""
        source = logging.getLogger("cmdstanpy")
        forward = _Forward(self.logger)
        kept = (source.handlers[:], source.propagate, source.level, source.disabled)
        # Prophet, where it has run in this process, has made the logger quiet.
        source.handlers, source.propagate, source.disabled = [forward], False, False
        source.setLevel(logging.INFO)
        try:
            yield
        finally:
            source.handlers, source.propagate, source.disabled = kept[0], kept[1], kept[3]
            source.setLevel(kept[2])

    @contextmanager
    def _progress(self, output: Path, n_draws: int) -> Iterator[None]:
        """Log now and then how many draws the chains have written."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(PROGRESS_EVERY_S):
                self.logger.info("Stan: %d of %d draws", _count_draws(output), n_draws)

        watcher = threading.Thread(target=watch, daemon=True, name="stan-progress")
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def import_cmdstanpy() -> Any:
    """cmdstanpy, with the folder that it makes when it is imported where a later run finds it.

    It removes that folder when Python exits by itself, which the processes of a Dagster run do not.
    """
    if "cmdstanpy" not in sys.modules:
        process = ExitStack()
        atexit.register(process.close)
        folder = process.enter_context(scratch_folder("cmdstanpy"))
        usual, tempfile.tempdir = tempfile.tempdir, str(folder)
        try:
            importlib.import_module("cmdstanpy")
        finally:
            tempfile.tempdir = usual
    return sys.modules["cmdstanpy"]


class StanResource(dg.ConfigurableResource):
    """Stan for assets. Nothing is looked for, compiled or imported before `runner` is first used.

    Attributes:
        cache_dir: for executables; empty means SEEDTEST_CACHE_DIR, DAGSTER_HOME or the user's cache folder.
        timeout_s: limit of a chain's time; 0 means none.
    """

    cache_dir: str = ""
    timeout_s: float = 3600.0

    def runner(self, logger: Logger | None = None) -> StanRunner:
        """A sampler that logs to `logger`, such as `context.log`."""
        folder = Path(self.cache_dir).expanduser() if self.cache_dir else default_cache_dir()
        return StanRunner(folder, logger, timeout_s=self.timeout_s or None)


class _Forward(logging.Handler):
    """Hands records of one logger to another."""

    def __init__(self, target: Logger) -> None:
        super().__init__(logging.INFO)
        self.target = target

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith("Non-fatal error during sampling"):
            # The density is not finite everywhere a warm-up looks. Rejections after it are counted as divergences.
            self.target.info("Stan: proposals where the density is not finite were rejected")
        else:
            self.target.log(record.levelno, "Stan: %s", message)


def _collect(fit: Any, toolchain: str) -> StanDraws:
    """Draws with chains in front, read before the output folder goes."""
    from seedtest_analytics.stats.growth.stan import StanDraws

    shape = (fit.chains, fit.num_draws_sampling)
    variables = {name: values.reshape(shape + values.shape[1:]) for name, values in fit.stan_variables().items()}
    method = fit.method_variables()
    return StanDraws(
        variables=variables,
        divergent=method["divergent__"].T.astype(bool),
        log_density=method["lp__"].T,
        energy=method["energy__"].T,
        treedepth=method["treedepth__"].T.astype(int),
        toolchain=toolchain,
    )


def _explain(program: StanProgram, output: Path, *, error: Exception) -> str:
    """What happened, with the end of what the chains wrote."""
    consoles = "\n".join(path.read_text(errors="replace") for path in sorted(output.glob("*stdout*.txt")))
    detail = (consoles.strip() or str(error))[-SHOWN_ERROR_CHARACTERS:]
    return f"{program.source.stem}: a chain failed or was killed; nothing was kept. Its last words:\n{detail}"


def _count_draws(output: Path) -> int:
    total = 0
    for path in output.glob("*.csv"):
        with path.open("rb") as file:
            total += max(sum(not line.startswith(b"#") for line in file) - 1, 0)
    return total


def _usable_cpus() -> int:
    """Processors this process may use, which in a container are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
