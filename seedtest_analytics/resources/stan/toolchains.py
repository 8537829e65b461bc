"""Two ways to compile a Stan program: an installed CmdStan, or the Stan in the httpstan wheel."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

COMPILE_TIMEOUT_S = 1200
DRIVER_SOURCE = Path(__file__).parent / "driver.cpp"
CXX_FLAGS = (
    "-std=c++17",
    "-O2",
    "-w",
    "-D_REENTRANT",
    "-DBOOST_DISABLE_ASSERTS",
    "-DBOOST_PHOENIX_NO_VARIADIC_EXPRESSION",
)
SHOWN_ERROR_LINES = 15


class StanUnavailableError(RuntimeError):
    """Stan cannot be used on this machine; the message says what to install."""


class StanBuildError(RuntimeError):
    """A Stan program did not compile; the message shows the compiler's last lines."""


class Toolchain(Protocol):
    """Compiles a program."""

    @property
    def name(self) -> str:
        """Name for logs and the stored fit, such as `cmdstan 2.36.0`."""

    def fingerprint(self) -> str:
        """Changes when an executable that was built earlier may no longer run or may differ."""

    def build(self, program: Path, header: Path | None, *, executable: Path) -> None:
        """Compile `program` (with C++ functions from `header`) to `executable`; raises `StanBuildError`."""


@dataclass(frozen=True)
class CmdStanToolchain:
    """An installed CmdStan. It writes into its own folder on its first build."""

    root: Path

    @property
    def name(self) -> str:
        """`cmdstan` and the folder's version."""
        return self.root.name.replace("cmdstan-", "cmdstan ")

    def fingerprint(self) -> str:
        """Hash of folder and stanc."""
        stanc = self.root / "bin" / "stanc"
        return _digest(str(self.root), _digest_file(stanc))

    def build(self, program: Path, header: Path | None, *, executable: Path) -> None:
        """Run `make` in CmdStan's folder; CmdStan expects the program beside its executable."""
        source = executable.with_suffix(".stan")
        if source != program:
            shutil.copyfile(program, source)
        command = ["make", "-C", str(self.root), str(executable)]
        if header is not None:
            command += ["STANCFLAGS=--allow-undefined", f"USER_HEADER={header}"]
        _run(command, f"building {program.name} with {self.name}")


@dataclass(frozen=True)
class WheelToolchain:
    """stanc, the Stan headers and TBB of the httpstan wheel, the machine's compiler, and our own driver.

    Attributes:
        root: folder of the httpstan package.
        compiler: path of g++ or clang++.
    """

    root: Path
    compiler: str

    @property
    def name(self) -> str:
        """`httpstan` with the version of Stan in it."""
        version = subprocess.run([self.root / "stanc", "--version"], capture_output=True, text=True, check=True)
        return f"httpstan wheel, {version.stdout.split()[0]} {version.stdout.split()[1]}"

    def fingerprint(self) -> str:
        """Hash of wheel, its path (executables link to its TBB), compiler, flags and driver."""
        compiler = subprocess.run([self.compiler, "--version"], capture_output=True, text=True, check=True)
        stanc = _digest_file(self.root / "stanc")
        return _digest(str(self.root), stanc, compiler.stdout, " ".join(CXX_FLAGS), _digest_file(DRIVER_SOURCE))

    def build(self, program: Path, header: Path | None, *, executable: Path) -> None:
        """Translate, compile model and driver in parallel (1.7 GB of memory each), and link."""
        folder = executable.parent
        model, model_object, driver_object = folder / "model.hpp", folder / "model.o", folder / "driver.o"
        undefined = ["--allow-undefined"] if header is not None else []
        _run([self.root / "stanc", *undefined, f"--o={model}", program], f"translating {program.name}")
        included: list[str | Path] = ["-include", header] if header is not None else []
        compile_: list[str | Path] = [self.compiler, *CXX_FLAGS, f"-I{self.root / 'include'}"]
        jobs = [
            [*compile_, *included, "-c", "-x", "c++", model, "-o", model_object],
            [*compile_, "-c", DRIVER_SOURCE, "-o", driver_object],
        ]
        with ThreadPoolExecutor(2) as pool:
            for finished in [pool.submit(_run, job, f"compiling {program.name}") for job in jobs]:
                finished.result()
        library = self.root / "lib"
        link: list[str | Path] = [
            self.compiler,
            driver_object,
            model_object,
            "-o",
            executable,
            f"-Wl,-rpath,{library}",
            "-pthread",
        ]
        _run([*link, self._tbb()], f"linking {program.name}")
        for leftover in (model, model_object, driver_object):
            leftover.unlink()

    def _tbb(self) -> Path:
        for name in ("libtbb.so.2", "libtbb.dylib", "libtbb.so"):
            if (self.root / "lib" / name).exists():
                return self.root / "lib" / name
        raise StanBuildError(f"the httpstan wheel in {self.root} has no libtbb; reinstall httpstan")


def find_toolchain() -> Toolchain:
    """CmdStan if it is installed, else the wheel and a compiler; raises `StanUnavailableError`."""
    cmdstan = find_cmdstan()
    if cmdstan is not None and shutil.which("make"):
        return CmdStanToolchain(cmdstan)
    wheel = _find_httpstan()
    compiler = os.environ.get("CXX") or "g++"
    compiler_path = shutil.which(compiler) or shutil.which("clang++")
    if wheel is not None and compiler_path is not None:
        return WheelToolchain(wheel, compiler_path)
    lacking = []
    if wheel is None:
        lacking.append("the httpstan package (`pip install httpstan`, Linux x86-64 and macOS)")
    if compiler_path is None:
        lacking.append("a C++ compiler (Debian: `apt-get install g++`)")
    raise StanUnavailableError(
        f"Stan is not available: CmdStan is not installed, and building without it needs {' and '.join(lacking)}. "
        "Install one of them (`install_cmdstan`), or use the `laplace` method, which needs no compiler."
    )


def find_cmdstan() -> Path | None:
    """The CmdStan that cmdstanpy would use, if it can compile.

    Importing prophet points cmdstanpy at a CmdStan that has only stanc; this function ignores that one.
    """
    import cmdstanpy

    try:
        root = Path(cmdstanpy.cmdstan_path())
    except ValueError:
        return None
    parts = [root / "makefile", root / "bin" / "stanc", root / "stan" / "src" / "stan"]
    return root if all(part.exists() for part in parts) else None


def _find_httpstan() -> Path | None:
    found = importlib.util.find_spec("httpstan")
    if found is None or found.origin is None:
        return None
    root = Path(found.origin).parent
    return root if (root / "stanc").exists() else None


def _run(command: Sequence[str | Path], doing: str) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=COMPILE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StanBuildError(f"{doing} took longer than {COMPILE_TIMEOUT_S} s and was stopped") from None
    if done.returncode == 0:
        return
    output = "\n".join((done.stdout + done.stderr).strip().splitlines()[-SHOWN_ERROR_LINES:])
    hint = ""
    if done.returncode < 0 or "Killed" in output:
        hint = " (killed, probably because memory ran out: the compiler needs about 2 GB per process)"
    raise StanBuildError(f"{doing} failed with status {done.returncode}{hint}:\n{output}")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _digest_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
