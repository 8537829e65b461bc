"""Odd input to every public function of the statistics: an error with a cause, or a result; nothing else.

The modules of ``probes`` have a good call of each function. Each array in it is made odd in turn (NaN, infinity, empty, too
long, huge, text, None, other shapes), and each number too. A function that is neither probed nor named there as a step whose
input a probed function checks fails the test of completeness.
"""

import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

import seedtest_analytics.stats as package
from seedtest_analytics.stats import compiled
from tests.stats.probes import (
    ability,
    checks,
    forecasts,
    growth,
    irt,
    mixed_model,
    segments,
    simulate,
    survival,
    verification,
)

PREFIX = "seedtest_analytics.stats."
DOMAINS = (ability, checks, forecasts, growth, irt, mixed_model, segments, simulate, survival, verification)
PROBES = {name: call for domain in DOMAINS for name, call in domain.PROBES.items()}
"""A good call of each function, by name of the arguments."""

CHECKED_BY_CALLER = [row for domain in DOMAINS for row in domain.CHECKED_BY_CALLER]
"""Steps and kernels of several modules that only get checked input: module, functions, and who checks it."""


def defined():
    """What is public in each module of the package and defined there, by qualified name.

    ``compiled`` gets functions and modules of the package, no data.
    """
    for module in pkgutil.walk_packages(package.__path__, PREFIX):
        if module.name == compiled.__name__:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if not name.startswith("_") and getattr(value, "__module__", "") == module.name:
                yield f"{module.name.removeprefix(PREFIX)}.{name}", value


def functions():
    """Qualified names of the public functions that have an input."""
    for name, value in defined():
        is_function = inspect.isfunction(value) or type(value).__name__ == "CPUDispatcher"
        if is_function and inspect.signature(getattr(value, "py_func", value)).parameters:
            yield name


def classes_that_check():
    """Qualified names of the public classes that check their fields."""
    for name, value in defined():
        if inspect.isclass(value) and "__post_init__" in vars(value):
            yield name


def odd_forms(value):
    """Odd forms of one argument, by name. One that is built when it is needed has been checked where it is built."""
    if callable(value) or isinstance(value, bool):
        return {}
    if isinstance(value, str):
        return {"another text": "?"}
    if isinstance(value, pd.DataFrame):
        return {"no rows": value.iloc[:0]} | {
            f"{column} {name}": value.assign(**{column: odd})
            for column in value
            for name, odd in odd_forms(value[column].to_numpy()).items()
            if not isinstance(odd, list) and np.shape(odd) == (len(value),)
        }
    if isinstance(value, dict):
        return {f"{k} {name}": {**value, k: odd} for k, v in value.items() for name, odd in odd_forms(v).items()}
    if np.ndim(value) == 0:
        return {
            "NaN": np.nan,
            "inf": np.inf,
            "huge": 1e308,
            "negative": -1.0,
            "text": "x",
            "none": None,
            "list": [1, 2],
        }
    array = np.asarray(value)
    forms = {
        "empty": array[:0],
        "longer": np.concatenate([array, array[:1]]),
        "scalar": array.ravel()[0],
        "a dimension more": array[..., None],
        "text": np.full(array.shape, "x"),
        "none": np.full(array.shape, None),
        "lists": [[1], [2, 3]],
    }
    if array.dtype.kind in "fib":
        numbers = array.astype(float)
        for name, odd in {"NaN": np.nan, "inf": np.inf, "-inf": -np.inf, "huge": 1e308, "-1": -1.0, "2": 2.0}.items():
            one = numbers.copy()
            one.flat[1] = odd
            forms[f"one {name}"] = one
            forms[f"all {name}"] = np.full(array.shape, odd)
        forms["all equal"] = np.zeros(array.shape)
        forms["whole"] = np.arange(array.size).reshape(array.shape)
    return forms


NUMPYS_OWN = (
    "could not convert",
    "inhomogeneous",
    "truth value",
    "broadcast",
    "zero-size",
    "matmul",
    "mismatch",
    "setting an array",
    "cannot convert",
    "invalid literal",
    "0-dimensional",
    "inconsistent numbers of samples",
)
"""Words of an error that numpy raises inside a function that has not checked its input."""

CASES = [
    (name, argument, form)
    for name, call in PROBES.items()
    for argument, value in call.items()
    for form in odd_forms(value)
]
SETTINGS = [
    (name, argument, form)
    for name, argument, form in CASES
    if name.rpartition(".")[2][0].isupper()
    and np.ndim(PROBES[name][argument]) == 0
    and form in {"NaN", "text", "list", "another text"}
]
"""Cases of classes: what is wrong with settings would come to light much later, or never."""


def function_of(name):
    return pkgutil.resolve_name(PREFIX + name)


def call(name, arguments):
    """Call a function, with the arguments that are built when they are needed, and take all that a generator yields."""
    result = function_of(name)(**{k: v() if callable(v) else v for k, v in arguments.items()})
    return list(result) if isinstance(result, Iterator) else result


def test_every_public_function_is_probed_or_gets_checked_input():
    checked = {f"{module}.{name}" for module, names, _ in CHECKED_BY_CALLER for name in names.split()}
    assert set(functions()) - set(PROBES) == checked


def test_every_class_that_checks_its_fields_is_probed():
    probed = {*PROBES, *(name.rpartition(".")[0] for name in PROBES)}
    assert not set(classes_that_check()) - probed


@pytest.mark.parametrize(("module", "names", "checkers"), CHECKED_BY_CALLER)
def test_what_checks_the_input_of_a_step_is_probed(module, names, checkers):
    assert checkers
    assert not set(checkers.split()) - set(PROBES)


@pytest.mark.parametrize("name", PROBES)
def test_the_good_call_is_good(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        call(name, PROBES[name])


@pytest.mark.parametrize(("name", "argument", "form"), CASES)
def test_odd_input_is_refused_with_a_cause_or_computed(name, argument, form):
    odd, refusal = odd_forms(PROBES[name][argument])[form], ""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            call(name, {**PROBES[name], argument: odd})
        except ValueError as error:
            refusal = str(error)
    assert not refusal or len(refusal) > 15
    assert not [words for words in NUMPYS_OWN if words in refusal]


@pytest.mark.parametrize(("name", "argument", "form"), SETTINGS)
def test_settings_refuse_what_has_no_meaning(name, argument, form):
    with pytest.raises(ValueError):
        call(name, {**PROBES[name], argument: odd_forms(PROBES[name][argument])[form]})
