"""Stan for the assets: compiles a program once, samples in a private folder, and logs progress."""

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
from typing import TYPE_CHECKING, Any, ClassVar

from seedtest_analytics.resources.fixed import FixedResource
from seedtest_analytics.resources.stan.executables import ExecutableCache, default_cache_dir
from seedtest_analytics.resources.stan.toolchains import Toolchain, find_toolchain
from seedtest_analytics.scratch import scratch_folder

if TYPE_CHECKING:  # numba and scipy must not load with the definitions
    from seedtest_analytics.stats.growth.stan import StanDraws, StanProgram, StanSettings

PROGRESS_EVERY_S = 5.0
SHOWN_ERROR_CHARACTERS = 2000

Logger = logging.Logger | logging.LoggerAdapter[Any]


class StanRunError(RuntimeError):
    """A chain failed, was killed or timed out; nothing was kept."""


class StanRunner:
    """Samples Stan programs through cmdstanpy.

    Args:
        cache_dir: for executables.
        logger: receives compile and sampling progress.
        timeout_s: time limit of a chain; None for no limit.
        toolchain: for tests; by default the machine's, looked up on first use.
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
        """The compiler to use; raises `StanUnavailableError` if there is none."""
        if self._toolchain is None:
            self._toolchain = find_toolchain()
        return self._toolchain

    def executable(self, program: StanProgram) -> Path:
        """The program's executable, compiled if necessary."""
        return self._cache.executable(self.toolchain, program.source, header=program.header)

    def sample(self, program: StanProgram, data: Mapping[str, Any], *, settings: StanSettings) -> StanDraws:
        """Draw from the program's posterior (`stats.growth.stan.StanSampler`).

        Raises:
            StanUnavailableError: there is neither CmdStan nor a compiler.
            StanBuildError: the program does not compile.
            StanRunError: a chain failed or was stopped.
        """
        from seedtest_analytics.resources.stan.data_file import write_stan_json

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
                    "nothing was kept. Draw fewer samples or allow more time"
                ) from None
            except (RuntimeError, ValueError) as error:
                raise StanRunError(_explain(program, output, error=error)) from error

    @contextmanager
    def _cmdstanpy_log(self) -> Iterator[None]:
        """Send cmdstanpy's log to the run's logger instead of the console."""
        source = logging.getLogger("cmdstanpy")
        forward = _Forward(self.logger)
        kept = (source.handlers[:], source.propagate, source.level, source.disabled)
        # Prophet silences this logger if it ran in the same process.
        source.handlers, source.propagate, source.disabled = [forward], False, False
        source.setLevel(logging.INFO)
        try:
            yield
        finally:
            source.handlers, source.propagate, source.disabled = kept[0], kept[1], kept[3]
            source.setLevel(kept[2])

    @contextmanager
    def _progress(self, output: Path, n_draws: int) -> Iterator[None]:
        """Log regularly how many draws the chains have written."""
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
    """cmdstanpy, whose import creates a temporary folder; put it where a later run removes it.

    cmdstanpy removes the folder only at a normal exit of Python, which the processes of a Dagster run do not reach.
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


class StanResource(FixedResource):
    """Stan for assets. Looks for nothing and compiles nothing before `runner` is used.

    Attributes:
        cache_dir: for executables; None means SEEDTEST_CACHE_DIR, DAGSTER_HOME or the user's cache folder.
        timeout_s: time limit of a chain; None means none.
    """

    cache_dir: ClassVar[Path | None] = None
    timeout_s: ClassVar[float | None] = 3600.0

    def runner(self, logger: Logger | None = None) -> StanRunner:
        """A sampler that logs to `logger`, such as `context.log`."""
        return StanRunner(self.cache_dir or default_cache_dir(), logger, timeout_s=self.timeout_s)


class _Forward(logging.Handler):
    """Forwards the records of one logger to another."""

    def __init__(self, target: Logger) -> None:
        super().__init__(logging.INFO)
        self.target = target

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith("Non-fatal error during sampling"):
            # Normal in a warm-up. After it, such rejections count as divergences.
            self.target.info("Stan: rejected proposals with a density that is not finite")
        else:
            self.target.log(record.levelno, "Stan: %s", message)


def _collect(fit: Any, toolchain: str) -> StanDraws:
    """Draws with the chains as first axis, read before the output folder is removed."""
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
    """The error, with the last output of the chains."""
    consoles = "\n".join(path.read_text(errors="replace") for path in sorted(output.glob("*stdout*.txt")))
    detail = (consoles.strip() or str(error))[-SHOWN_ERROR_CHARACTERS:]
    return f"{program.source.stem}: a chain failed or was killed; nothing was kept. Its last output:\n{detail}"


def _count_draws(output: Path) -> int:
    total = 0
    for path in output.glob("*.csv"):
        with path.open("rb") as file:
            total += max(sum(not line.startswith(b"#") for line in file) - 1, 0)
    return total


def _usable_cpus() -> int:
    """Processors that this process may use; in a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
