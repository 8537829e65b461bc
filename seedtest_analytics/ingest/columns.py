"""The columns of an attempt log, and the mapping of a file's names to them."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from seedtest_analytics.ingest.errors import LoadError

REQUIRED = ("user_id", "item_id", "correct", "completed_at")
OPTIONAL = ("session_id", "topic_id", "response_time_ms", "hints_used", "rescored_at")
COLUMNS = (*REQUIRED, *OPTIONAL)

PROBLEM = "(problem)"
"""Column of rows that cannot be used: the reason, then what is wrong or the row as it was read, line by line."""
PROBLEM_REASONS = ("row_malformed", "row_quote_unbalanced", "row_not_json", "row_unusable", "statement_invalid")
MAX_PROBLEM_CHARACTERS = 4_000

USUAL_NAMES = {
    "user_id": "user userid username student studentid studentnumber anonstudentid learner learnerid uid 학생 학생id "
    "학생번호 학번 학습자 학습자id 사용자 사용자id 회원 회원id 아이디 수험번호",
    "item_id": "item itemid question questionid problem problemid step stepname exercise exerciseid qid 문항 "
    "문항id 문항번호 문항코드 문제 문제id 문제번호 문제코드",
    "topic_id": "topic topicid kc skill skillid skillname concept knowledgecomponent subject tag tags 단원 단원명 주제 개념 "
    "토픽 영역 유형 과목",
    "correct": "iscorrect answercorrect right correctness outcome score result 정답여부 정오 정오답 채점결과 "
    "채점 결과 정답",
    "completed_at": "answeredat timestamp when time datetime endtime completed submittedat submitted "
    "createdat date 일시 시각 응답일시 응답시각 제출일시 제출시각 제출시간 풀이일시 푼날짜 완료일시 날짜",
    "response_time_ms": "responsetime responsems elapsedms elapsedtime latencyms mselapsed timetaken "
    "duration timespent timespentsec seconds durationseconds 응답시간 풀이시간 소요시간 걸린시간 "
    "풀이시간초 소요시간초 응답시간초",
    "hints_used": "hints hintcount nhints numhints hintsused 힌트 힌트수 힌트사용 힌트사용수",
    "session_id": "session sessionid assignmentid 세션 세션id",
}
"""Names of the columns in other systems, without case, spaces and punctuation, the most telling first."""


def problem(reason: str, *lines: str) -> dict[str, str | None]:
    """A row that only says why a row of the source cannot be used."""
    return {PROBLEM: "\n".join((reason, *lines))[:MAX_PROBLEM_CHARACTERS]}


def parse_mapping(pairs: Sequence[str]) -> dict[str, str]:
    """``["user_id=student"]`` → ``{"user_id": "student"}``; raises :class:`LoadError` for anything else."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        name, separator, column = pair.partition("=")
        if not separator or not name.strip() or not column.strip():
            raise LoadError(f"--map {pair!r} is not valid; use name=column, e.g. --map user_id=student")
        if name.strip() in mapping:
            raise LoadError(f"--map names {name.strip()!r} twice; name it once")
        mapping[name.strip()] = column.strip()
    check_mapping(mapping)
    return mapping


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Raise :class:`LoadError` if a mapping names an unknown column."""
    unknown = sorted(set(mapping) - set(COLUMNS))
    if unknown:
        close = difflib.get_close_matches(unknown[0], COLUMNS, 1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise LoadError(
            f"--map {unknown[0]!r}{meant} is not a column of an attempt log. The columns are {', '.join(COLUMNS)}. "
            "Use --map name=column, with one of these names first and the name in the file second."
        )


def resolve_columns(names: Sequence[str], mapping: Mapping[str, str], *, file_name: str, path: Path) -> dict[str, int]:
    """Our name → the position in the file, for every column that the file has. Blanks around names do not matter.

    Raises :class:`LoadError` if a required or mapped column is missing, or if a used name occurs twice.
    """
    found = [name.strip() for name in names]
    resolved = {name: mapping.get(name, name).strip() for name in COLUMNS}
    missing = [
        name for name, column in resolved.items() if column not in found and (name in REQUIRED or name in mapping)
    ]
    listed = ", ".join(repr(column) for column in found if column != PROBLEM) or "none"
    if missing:
        wanted = ", ".join(f"{name} (mapped to {resolved[name]!r})" if name in mapping else name for name in missing)
        raise LoadError(
            f"{file_name}: column missing: {wanted}. Columns found: {listed}. "
            f"Rename or map: {_command(found, mapping, path=path)}"
        )
    doubled = sorted({column for column in resolved.values() if found.count(column) > 1})
    if doubled:
        raise LoadError(f"{file_name}: the column {doubled[0]!r} occurs twice. Columns found: {listed}. Rename one.")
    return {name: found.index(column) for name, column in resolved.items() if column in found}


def propose_mapping(found: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """The mapping with a proposal for each column of ours that the file does not have by name, where one is likely."""
    names = [name.strip() for name in found if name != PROBLEM]
    taken = {mapping.get(name, name) for name in COLUMNS} & set(names)
    pairs = {name: column for name, column in mapping.items() if column in names}
    for name in (name for name in COLUMNS if name not in pairs and name not in taken):
        column = _likely(name, [column for column in names if column not in taken])
        if column is not None:
            pairs[name] = column
            taken.add(column)
    return pairs


def _command(found: Sequence[str], mapping: Mapping[str, str], *, path: Path) -> str:
    """The command that loads the file, with a proposal for each missing column."""
    pairs = propose_mapping(found, mapping)
    pairs |= {name: "COLUMN" for name in REQUIRED if name not in pairs and name not in found}
    options = [f"--map {shlex.quote(f'{name}={pairs[name]}')}" for name in COLUMNS if name in pairs]
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return " ".join(["seedtest load", shlex.quote(str(shown)), *options])


def _likely(name: str, free: Sequence[str]) -> str | None:
    """The unused column that most likely is ``name``: by a usual name, or for a required column by a similar one."""
    plain = {re.sub(r"[\W_]+", "", column.lower()): column for column in free}
    usual = [name.replace("_", ""), *USUAL_NAMES.get(name, "").split()]
    for other in usual:
        if other in plain:
            return plain[other]
    close = difflib.get_close_matches(usual[0], list(plain), 1) if name in REQUIRED else []
    return plain[close[0]] if close else None
