"""Compilation of kernels, with a cache on disk that knows every source that a kernel is made of.

Numba keeps a compiled kernel until the module of the kernel changes. It does not look at the functions and constants that the
kernel takes from other modules, so after an upgrade a kernel could go on with those of the release before. Here a kernel is
kept while its module and all modules of the package that it imports are the same.

Kernels copy arrays by loops. The assignment of an array to a slice compiles the texts of its possible errors as well, which takes
seconds.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba.core import caching, cgutils, types
from numba.extending import intrinsic

_PACKAGE = Path(__file__).resolve().parents[1]


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` for a kernel with ``cache=True``.

    With ``fastmath`` a kernel becomes a part of each kernel that calls it. As a separate function it would be optimised
    once alone and once for its caller. A process that compiles would then call the first, one that reads the cache the second,
    and the last digits of their sums would differ.
    """
    compiler: Callable[[Callable[..., Any]], Any] = numba.njit(**options, forceinline=bool(options.get("fastmath")))
    return compiler


def _request(_: Any, values: Any, position: Any, /) -> Any:
    return types.void(values, position), _prefetch


def _prefetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: PLR0917  numba calls it
    array_type, position_type = signature.args
    array = context.make_array(array_type)(context, builder, arguments[0])
    index = context.cast(builder, arguments[1], position_type, types.intp)
    pointer_to: Any = cgutils.get_item_pointer
    element = pointer_to(context, builder, array_type, array, [index], wraparound=False)
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", (cgutils.voidptr_t,), kind)
    to_write, into_all_caches, data = number(1), number(3), number(1)
    builder.call(prefetch, [builder.bitcast(element, cgutils.voidptr_t), to_write, into_all_caches, data])
    return context.get_dummy_value()


ask_for: Any = intrinsic(_request)
"""In a kernel, ``ask_for(values, position)`` loads that place of a one-dimensional array in the background."""


def imported_sources(module: Path) -> set[Path]:
    """Source files of the package that ``module`` imports anywhere, directly or through others, and ``module`` itself."""
    found, waiting = {module}, [module]
    while waiting:
        new = _imports(waiting.pop()) - found
        found |= new
        waiting += new
    return found


@cache
def _imports(module: Path) -> frozenset[Path]:
    names: list[str] = []
    for node in ast.walk(ast.parse(module.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return frozenset(path for name in names for path in _sources(name))


def _sources(name: str) -> list[Path]:
    """The file of a module of the package; none for names of other packages and for names in a module."""
    first, *rest = name.split(".")
    if first != _PACKAGE.name:
        return []
    place = _PACKAGE.joinpath(*rest)
    return [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]


@cache
def source_stamp(module: Path) -> str:
    """A hash of all sources that ``module`` is made of."""
    digest = hashlib.sha256()
    for path in sorted(imported_sources(module)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _WithImports:
    _py_file: str

    def get_source_stamp(self) -> Any:
        return source_stamp(Path(self._py_file).resolve())


class ChosenFolder(_WithImports, caching.UserProvidedCacheLocator):
    """The folder NUMBA_CACHE_DIR."""


class BesideModule(_WithImports, caching.InTreeCacheLocator):
    """The folder `__pycache__` of the module, if it is writable."""


class OfAccount(_WithImports, caching.UserWideCacheLocator):
    """The cache folder of the account."""


_LOCATORS = (ChosenFolder, BesideModule, OfAccount)
vars(numba.config)["CACHE_LOCATOR_CLASSES"] = ",".join(f"{__name__}.{locator.__name__}" for locator in _LOCATORS)
