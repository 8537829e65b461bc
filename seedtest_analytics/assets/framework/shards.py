"""Assets whose work on students is spread over steps: SEEDTEST_SHARDS steps work, one more reports.

A sharded asset has two functions. One works on the students of a shard and returns counts. The other gets the counts of
all shards, does what concerns a week as a whole, and reports. With one shard both are one step. With more, each shard is its
own step, which fails and is tried again alone, and in its own pool, so that shards never wait for each other.

A student's shard is a keyed hash of the id, computed by the database. So the rows do not depend on the number of shards.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.report import known_errors_as_failures
from seedtest_analytics.assets.framework.sizes import SMALL, resized
from seedtest_analytics.database.work import working_on
from seedtest_analytics.resources.shard_results import SHARD_RESULTS
from seedtest_analytics.settings import load_settings

PUBLISH = "publish"
"""Name of the step that reports the results of the shards."""
_HASH_KEY = 20251103
_CONDITION = (
    f"(CAST(:shards AS bigint) = 1 OR mod(hashtextextended({{column}}, {_HASH_KEY}) & 2147483647, :shards) = :shard)"
)


@dataclass(frozen=True)
class Shard:
    """One of ``of`` parts of the students; ``number`` counts from 0."""

    number: int = 0
    of: int = 1

    @property
    def name(self) -> str:
        """Name of the shard's step, counted from 1."""
        return f"shard_{self.number + 1}"

    @property
    def parameters(self) -> dict[str, int]:
        """The shard as parameters of statements."""
        return {"shard": self.number, "shards": self.of}

    def condition(self, column: str) -> str:
        """SQL: whether the student of ``column`` is in the shard. It needs the shard's :attr:`parameters`."""
        return _CONDITION.format(column=column)


WHOLE = Shard()
Result = dict[str, Any]
"""What a shard reports: plain JSON without ids."""
Work = Callable[..., Result]
Collect = Callable[..., Iterator[Any]]


def sharded_asset(work: Work, **declaration: Any) -> Callable[[Collect], dg.AssetsDefinition]:
    """As ``dg.multi_asset``, with ``work`` for the students of a shard.

    ``work(context, config, *, shard, …)`` returns a :data:`Result`. The decorated function
    ``collect(context, config, *, results, …)`` gets those of all shards, reads them inside of ``report`` and yields what an
    asset yields. Both are annotated with the same options and their own resources.
    """
    settings = load_settings().execution

    def decorate(collect: Collect) -> dg.AssetsDefinition:
        name = collect.__name__
        whole = dg.multi_asset(name=name, **declaration)(_in_one_step(work, collect))
        if settings.shards == 1:
            return whole
        # The executor finds the sizes of SEEDTEST_STEP_RESOURCES by the name of a step alone.
        tags = resized(declaration["op_tags"], settings.resources_by_step.get(name, {}))
        return _in_steps(whole, work, collect=collect, shards=settings.shards, pool=declaration["pool"], tags=tags)

    return decorate


def _in_one_step(work: Work, collect: Collect) -> Callable[..., Iterator[Any]]:
    resources = [set(_resources(function)) for function in (work, collect)]

    def step(context: Any, config: Any, **given: Any) -> Iterator[Any]:
        of_work, of_collect = ({name: given[name] for name in names} for names in resources)
        # The work begins where the results are first read, so that its errors are reported as any other's.
        results = (work(context, config, shard=shard, **of_work) for shard in (WHOLE,))
        yield from collect(context, config, results=results, **of_collect)

    return _signed(step, like=collect, resources=_resources(work) | _resources(collect))


def _in_steps(
    whole: dg.AssetsDefinition, work: Work, *, collect: Collect, shards: int, pool: str, tags: dict[str, Any]
) -> dg.AssetsDefinition:
    op = whole.op
    name, options = op.name, inspect.signature(collect).parameters["config"].annotation
    upstream = {each: dg.In(dg.Nothing) for each in op.ins}
    parts = [Shard(number, shards) for number in range(shards)]
    steps = [
        dg.op(
            name=f"{name}_{part.name}",
            ins=upstream,
            out=dg.Out(dict, io_manager_key=SHARD_RESULTS),
            pool=f"{pool}/{part.name}",
            tags=tags,
            retry_policy=op.retry_policy,
        )(_of_shard(work, part))
        for part in parts
    ]
    publish = dg.op(
        name=f"{name}_{PUBLISH}",
        ins={"results": dg.In(list)},
        out=dict(op.outs),
        pool=pool,
        tags=SMALL.op_tags,
        retry_policy=op.retry_policy,
    )(_signed(collect, like=collect, resources=_resources(collect), inputs=("results",)))
    nodes = [*(part.name for part in parts), PUBLISH]
    results = dg.MultiDependencyDefinition([dg.DependencyDefinition(part.name) for part in parts])
    graph = dg.GraphDefinition(
        name=name,
        node_defs=[*steps, publish],
        composition_fn=collect,
        dependencies={
            **{dg.NodeInvocation(step.name, alias=part.name): {} for part, step in zip(parts, steps, strict=True)},
            dg.NodeInvocation(publish.name, alias=PUBLISH): {"results": results},
        },
        input_mappings=[
            dg.InputMapping(graph_input_name=each, mapped_node_name=part.name, mapped_node_input_name=each)
            for each in upstream
            for part in parts
        ],
        output_mappings=[
            dg.OutputMapping(graph_output_name=out, mapped_node_name=PUBLISH, mapped_node_output_name=out)
            for out in op.outs
        ],
        config=dg.ConfigMapping(
            lambda given: {node: {"config": given} for node in nodes}, config_schema=options.to_config_schema()
        ),
    )
    return dg.AssetsDefinition(
        node_def=graph,
        keys_by_input_name=whole.node_keys_by_input_name,
        keys_by_output_name=whole.node_keys_by_output_name,
        check_specs_by_output_name=whole.node_check_specs_by_output_name,
        specs=list(whole.specs),
        backfill_policy=whole.backfill_policy,
    )


def _of_shard(work: Work, shard: Shard) -> Callable[..., Result]:
    def step(context: Any, config: Any, **resources: Any) -> Result:
        with known_errors_as_failures(), working_on(f"{work.__name__} {shard.number + 1}/{shard.of}", context.log.info):
            return work(context, config, shard=shard, **resources)

    return _signed(step, like=work, resources=_resources(work))


def _resources(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The resources that a function takes."""
    given = inspect.signature(function).parameters
    return {name: given[name] for name in given if name not in ("context", "config", "shard", "results")}


def _signed(
    step: Callable[..., Any],
    *,
    like: Callable[..., Any],
    resources: dict[str, inspect.Parameter],
    inputs: tuple[str, ...] = (),
) -> Callable[..., Any]:
    """The step with the signature that Dagster reads: context, options, values and resources of annotated types."""
    given = inspect.signature(like).parameters
    values = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in inputs]

    def signed(*positional: Any, **named: Any) -> Any:
        return step(*positional, **named)

    signed.__name__, signed.__doc__ = like.__name__, like.__doc__
    signed.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [given["context"], given["config"], *values, *resources.values()]
    )
    return signed
