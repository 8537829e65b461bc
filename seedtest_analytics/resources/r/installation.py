"""Finds R, builds the environment of its process, and says how to install what is missing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seedtest_analytics.resources.r.errors import RNotFoundError

INSTALL_R = "apt-get install --no-install-recommends r-base-core (Debian, Ubuntu), or scripts/install-system-packages"
DEBIAN_PACKAGES = {
    "lme4": "r-cran-lme4",
    "brms": "r-cran-brms",
    "rstan": "r-cran-rstan",
    "posterior": "r-cran-posterior",
}

# An allow-list: R must not see a password, token or key of any name.
PASSED_VARIABLES = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "MAKEFLAGS", "PATH", "TZ", "USER"}
    | {"LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_NUMERIC", "LC_TIME"}
    | {"R_ENVIRON", "R_ENVIRON_USER", "R_LIBS", "R_LIBS_SITE", "R_LIBS_USER"}
    | {"R_MAKEVARS_SITE", "R_MAKEVARS_USER"}
)
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "RCPP_PARALLEL_NUM_THREADS",
    "STAN_NUM_THREADS",
)
ASK_R_SECONDS = 30


@dataclass(frozen=True)
class RInstallation:
    """An R that can be embedded: its home folder and its shared library."""

    home: Path
    library: Path


def find_r(environment: Mapping[str, str]) -> RInstallation:
    """R from ``R_HOME``, else from the ``R`` on the PATH; raises :class:`RNotFoundError`."""
    home = Path(environment["R_HOME"]) if environment.get("R_HOME") else _home_on_path(environment)
    library = next((p for p in (home / "lib/libR.so", home / "lib/libR.dylib") if p.exists()), None)
    if library is not None:
        return RInstallation(home, library)
    if environment.get("R_HOME"):
        raise RNotFoundError(
            f"R_HOME = {home} does not contain R's shared library (lib/libR.so). "
            f"Unset R_HOME to use the R on the PATH, or install R: {INSTALL_R}"
        )
    raise RNotFoundError(
        f"the R in {home} was built without a shared library (configure --enable-R-shlib), so it cannot be embedded. "
        f"Install R: {INSTALL_R}"
    )


def _home_on_path(environment: Mapping[str, str]) -> Path:
    executable = shutil.which("R", path=environment.get("PATH"))
    if executable is None:
        raise RNotFoundError(
            f"R is not installed: it is not on the PATH and R_HOME is not set. Install it: {INSTALL_R}"
        )
    try:
        answer = subprocess.run(
            [executable, "RHOME"],
            capture_output=True,
            text=True,
            timeout=ASK_R_SECONDS,
            check=True,
            env=dict(environment),
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise RNotFoundError(f"{executable} RHOME failed ({error}). Install R again: {INSTALL_R}") from error
    return Path(answer.stdout.strip().splitlines()[-1])


def r_environment(
    environment: Mapping[str, str], installation: RInstallation, *, threads: int, temporary_folder: Path
) -> dict[str, str]:
    """Environment of the R process: allowed variables, R's own, thread limits and a temporary folder."""
    passed = {name: value for name, value in environment.items() if name in PASSED_VARIABLES}
    libraries = [str(installation.home / "lib"), passed.get("LD_LIBRARY_PATH", "")]
    package_root = str(Path(__file__).resolve().parents[3])
    return {
        **passed,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
        "MC_CORES": str(threads),
        "PYTHONPATH": package_root,
        "PYTHONDONTWRITEBYTECODE": "1",
        "R_HOME": str(installation.home),
        # API mode works only with the R that rpy2 was compiled against.
        "RPY2_CFFI_MODE": "ABI",
        "TMPDIR": str(temporary_folder),
    }


def install_command(packages: tuple[str, ...]) -> str:
    """The command that installs these R packages."""
    debian = [DEBIAN_PACKAGES[p] for p in packages if p in DEBIAN_PACKAGES]
    cran = [p for p in packages if p not in DEBIAN_PACKAGES]
    commands = []
    if debian:
        commands.append("apt-get install --no-install-recommends " + " ".join(debian))
    if cran:
        quoted = ", ".join(f'"{p}"' for p in cran)
        commands.append(f"Rscript -e 'install.packages(c({quoted}), repos = \"https://cloud.r-project.org\")'")
    return " && ".join(commands)
