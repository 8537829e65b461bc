"""Load attempt logs into ``exam_results`` and ``question``: read, stage and publish in one transaction."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, text

from seedtest_analytics.database.sessions import take_lock
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.ingest.columns import check_mapping
from seedtest_analytics.ingest.errors import LoadError, Progress
from seedtest_analytics.ingest.rejects import RejectCount, RejectFile, refuse_overwriting
from seedtest_analytics.ingest.sources import LogFile, find_files, open_logs, read_batches
from seedtest_analytics.ingest.staging import Staging
from seedtest_analytics.ingest.times import whole_weeks_to
from seedtest_analytics.ingest.value_rules import DEFAULT_RULES, ValueRules

SESSION_GAP_MINUTES = 30
LOCK = "seedtest load"
NEEDED_TABLES = ("exam_results", "question", "load_rejects", "item_number")

_UTC_TEXT = '"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([+]00:00)$"'
# An element that this loader could have written; jsonb_to_record raises for any other.
READABLE_ELEMENT = (
    '$ ? (@.type() == "object" && @.question_id.type() == "number" && @.question_id.floor() == @.question_id'
    f" && @.answered_at like_regex {_UTC_TEXT}"
    f" && (!exists(@.rescored_at) || @.rescored_at like_regex {_UTC_TEXT})"
    ' && (!exists(@.is_correct) || @.is_correct.type() == "boolean")'
    ' && (!exists(@.time_spent_sec) || @.time_spent_sec.type() == "number")'
    ' && (!exists(@.topics) || @.topics.type() == "array")'
    " && (!exists(@.used_hints) || @.used_hints.floor() == @.used_hints))"
)


@dataclass(frozen=True)
class LoadOptions:
    """How a log is read.

    Attributes:
        mapping: our column name to the name in the file.
        timezone: IANA zone of times without an offset and of the weeks of ``shift_to``.
        shift_to: move the log by whole weeks, keeping wall-clock times, so that its last attempt falls in the last ISO
            week that ends on or before this date. Exams are then replaced whole, and derived sessions in the time of the
            log that it does not have are removed.
        is_replacing: replace sessions whole. If false, a session keeps attempts of earlier loads that this log lacks.
        is_dry_run: do everything, then roll back.
        encoding: encoding of CSV files; None: that of each file is guessed.
        rules: what values mean where several readings are possible.
        rejects_to: a CSV file that gets the rejected rows, to be repaired and loaded again.
        names: names of files as reports show them, where a file stands for another.
        origins: the user's paths of these files, for remedies.
        now: attempts more than a day later do not decide the shift; default: the clock.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    timezone: str = "UTC"
    shift_to: dt.date | None = None
    is_replacing: bool = False
    is_dry_run: bool = False
    encoding: str | None = "utf-8"
    rules: ValueRules = DEFAULT_RULES
    rejects_to: Path | None = None
    names: Mapping[Path, str] = field(default_factory=dict)
    origins: Mapping[Path, Path] = field(default_factory=dict)
    now: dt.datetime | None = None


@dataclass(frozen=True)
class Written:
    """Rows of one table that a load covers; the others were stored before with the same content."""

    rows: int
    inserted: int
    updated: int

    @property
    def unchanged(self) -> int:
        """Rows that needed no change."""
        return self.rows - self.inserted - self.updated


@dataclass(frozen=True)
class LoadSummary:
    """What a load did.

    ``rows_read`` = ``rows_rejected`` + ``attempts`` + ``duplicates`` (rows equal to another row) + ``further_topics`` (rows
    equal except for the topic) + ``contradictory`` (rows of the same attempt with another answer) + ``superseded``
    (answers that a re-score replaced). ``several_topics`` counts attempts with more than one topic, and
    ``attempts_kept`` attempts of earlier loads that stayed in the exams of this one. ``rows_with_gaps`` counts
    accepted rows with a malformed time or count of hints, which count as not recorded.
    """

    files: tuple[str, ...]
    rows_read: int
    rows_rejected: int
    rows_with_gaps: int
    rejects: tuple[RejectCount, ...]
    attempts: int
    duplicates: int
    further_topics: int
    several_topics: int
    contradictory: int
    superseded: int
    attempts_kept: int
    unanswered: int
    local_times: int
    rows_with_derived_session: int
    sessions_renamed: int
    numbered_items: int
    exams: Written
    questions: Written
    shifted_weeks: int
    first_attempt_at: dt.datetime | None
    last_attempt_at: dt.datetime | None
    is_dry_run: bool


def silent(stage: str, share: float, *, rows: int = 0) -> None:
    """Report no progress."""


def load_attempt_log(
    engine: Engine, files: Sequence[str | Path], *, options: LoadOptions | None = None, progress: Progress = silent
) -> LoadSummary:
    """Load attempt logs (files, folders or globs) into ``exam_results`` and ``question``.

    A load is one transaction: if it is killed, nothing is written and it can run again. Raises :class:`LoadError` for
    an unusable file or option. Bad rows go to ``load_rejects``.
    """
    options = options or LoadOptions()
    check_mapping(options.mapping)
    paths = find_files(files)
    if options.rejects_to is not None:
        refuse_overwriting(options.rejects_to, [*paths, *options.origins.values()])
    logs = open_logs(paths, options.mapping, encoding=options.encoding, names=options.names, origins=options.origins)
    with engine.connect() as connection, connection.begin() as transaction:
        _prepare(connection)
        staging = _stage(connection, logs, options=options, progress=progress)
        summary = _publish(staging, logs, options=options, progress=progress)
        if options.is_dry_run:
            transaction.rollback()
    return summary


def _prepare(connection: Connection) -> None:
    for setting in ("TimeZone = 'UTC'", "jit = off", "work_mem = '64MB'", "client_min_messages = warning"):
        connection.execute(text(f"SET LOCAL {setting}"))
    missing = [
        name
        for name in NEEDED_TABLES
        if connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar_one() is None
    ]
    if missing:
        raise LoadError(f"the database lacks the tables {', '.join(missing)}; run `seedtest migrate` first")


def _stage(connection: Connection, logs: Sequence[LogFile], *, options: LoadOptions, progress: Progress) -> Staging:
    total = sum(log.estimated_rows for log in logs)
    rejected = RejectFile(options.rejects_to) if options.rejects_to else None
    staging = Staging(connection, total, zone=ZoneInfo(options.timezone), rules=options.rules, rejected=rejected)
    done = 0
    progress("reading", 0)
    for log in logs:
        for batch in read_batches(log):
            staging.add(log.name, batch)
            done += batch.units_done
            progress("reading", done / max(total, done, 1), rows=staging.counts.rows)
    staging.finish()
    if rejected is not None:
        rejected.write()
    progress("reading", 1, rows=staging.counts.rows)
    return staging


def _publish(staging: Staging, logs: Sequence[LogFile], *, options: LoadOptions, progress: Progress) -> LoadSummary:
    connection = staging.connection
    # Two concurrent upserts of the same exams in different order would deadlock.
    take_lock(connection, LOCK)
    now = options.now or dt.datetime.now(dt.UTC)
    survey = connection.execute(statement("load/stage.sql", "survey"), {"now": now}).one()
    weeks = _shift_weeks(survey, options)
    parameters = {"timezone": options.timezone, "shift_days": 7 * weeks}
    connection.execute(statement("load/exams.sql", "resolve_exam_keys"))
    renamed = connection.execute(text("SELECT count(*) FROM load_exam_key")).scalar_one()
    questions = Written(*connection.execute(statement("load/questions.sql"), parameters).one())
    tally = _Tally()
    progress("writing", 0)
    for bucket in range(staging.buckets):
        _publish_bucket(connection, bucket, shift=parameters, options=options, tally=tally)
        progress("writing", (bucket + 1) / staging.buckets, rows=tally["attempts"])
    _publish_rejects(connection, logs)
    move = dt.timedelta(weeks=weeks)
    return LoadSummary(
        files=tuple(log.name for log in logs),
        rows_read=staging.counts.rows,
        rows_rejected=staging.counts.rejected,
        rows_with_gaps=staging.counts.with_gaps,
        rejects=staging.counts.rejects.counts(),
        attempts=tally["attempts"],
        duplicates=tally["duplicates"],
        further_topics=tally["further_topics"],
        several_topics=tally["several_topics"],
        contradictory=tally["contradictory"],
        superseded=tally["superseded"],
        attempts_kept=tally["kept"],
        unanswered=survey.unanswered,
        local_times=staging.counts.local_times,
        rows_with_derived_session=survey.without_session,
        sessions_renamed=renamed,
        numbered_items=staging.numbered_items,
        exams=Written(tally["exams"], tally["inserted"], updated=tally["updated"]),
        questions=questions,
        shifted_weeks=weeks,
        first_attempt_at=survey.first_at + move if survey.first_at else None,
        last_attempt_at=survey.last_at + move if survey.last_at else None,
        is_dry_run=options.is_dry_run,
    )


def _shift_weeks(survey: Any, options: LoadOptions) -> int:
    last = survey.last_known_at or survey.last_at
    if options.shift_to is None or last is None:
        return 0
    return whole_weeks_to(last, options.shift_to, zone=ZoneInfo(options.timezone))


@dataclass
class _Tally:
    """Sums over the buckets, by the names of the counting statements."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the counts of a bucket."""
        self.counts.update({name: int(value) for name, value in row.items()})

    def __getitem__(self, name: str) -> int:
        return self.counts[name]


def _publish_bucket(
    connection: Connection, bucket: int, *, shift: Mapping[str, Any], options: LoadOptions, tally: _Tally
) -> None:
    parameters = {"bucket": bucket, "gap_minutes": SESSION_GAP_MINUTES, "readable": READABLE_ELEMENT, **shift}

    def run(*names: str) -> Any:
        for name in names:
            prepared = statement("load/exams.sql", name)
            result = connection.execute(prepared, {key: parameters[key] for key in prepared.compile().params})
        return result

    run("empty_bucket", "fill_rows", "analyze_rows")
    if options.shift_to is None:
        run("find_stored", "add_stored")
    else:
        run("find_shifted")
    run("merge_attempts", "cut_sessions")
    if options.is_replacing:
        run("drop_replaced", "cut_sessions")
    run("drop_untouched")
    tally.add(run("count_bucket").one()._mapping)
    run("remove_emptied")
    tally.add(run("upsert_exams").one()._mapping)


def _publish_rejects(connection: Connection, logs: Sequence[LogFile]) -> None:
    parameters = {"file_names": [log.name for log in logs]}
    connection.execute(statement("load/rejects.sql", "forget_corrected"), parameters)
    connection.execute(statement("load/rejects.sql", "upsert"))
