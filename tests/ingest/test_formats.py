"""A small file of each known format, in its real shape, through the command: no mapping, no question, the right attempts."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from seedtest_analytics.ingest.formats import FORMATS
from tests._database import rows_of
from tests._shared import shared
from tests.ingest.test_commands import run as run_fixture

run = run_fixture


def stored(engine: Engine) -> list[tuple[Any, ...]]:
    """User, item as in the source, right, time in UTC, seconds, hints, topics."""
    rows = rows_of(
        engine,
        "SELECT e.user_id, COALESCE(n.source_id, q ->> 'question_id') AS item, (q ->> 'is_correct')::boolean AS is_correct, "
        "to_char((q ->> 'answered_at')::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS answered_at, "
        "(q ->> 'time_spent_sec')::float8 AS seconds, (q ->> 'used_hints')::int AS hints, "
        "COALESCE(q -> 'topics', jsonb_build_array(q -> 'topic')) AS topics "
        "FROM exam_results AS e CROSS JOIN jsonb_array_elements(e.result_json -> 'questions') AS q "
        "LEFT JOIN item_number AS n ON n.item_id = (q ->> 'question_id')::bigint ORDER BY 1, 4, 2",
    )
    return [tuple(row.values()) for row in rows]


def table(header: str, *rows: str, mark: str = ",") -> str:
    return "".join(line.replace("|", mark) + "\n" for line in (header, *rows))


EDNET_QUESTIONS = table(
    "question_id|bundle_id|explanation_id|correct_answer|part|tags|deployed_at",
    "q1|b1|e1|b|1|7;9|1558093217098",
    "q2|b1|e1|a|1|-1|1558093217098",
)
EDX = {
    "event_type": "problem_check",
    "event_source": "server",
    "time": "2026-03-02T09:30:00.123456+00:00",
    "username": "kim",
    "context": {"user_id": 7, "course_id": "course-v1:X+Y+Z"},
    "event": {
        "problem_id": "block-v1:p1",
        "attempts": 1,
        "success": "incorrect",
        "submission": {"p1_2_1": {"question": "?", "correct": True}, "p1_3_1": {"question": "?", "correct": False}},
    },
}
XAPI = {
    "actor": {"objectType": "Agent", "account": {"homePage": "https://lms.example", "name": "kim"}},
    "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
    "object": {
        "id": "https://lms.example/items/7",
        "definition": {"type": "http://adlnet.gov/expapi/activities/cmi.interaction"},
    },
    "result": {"success": True, "duration": "PT1M2.5S"},
    "context": {"contextActivities": {"grouping": [{"id": "https://lms.example/algebra"}]}},
    "timestamp": "2026-03-02T18:30:00+09:00",
}
CALIPER = [
    {
        "@context": "http://purl.imsglobal.org/ctx/caliper/v1p2",
        "id": "urn:uuid:1",
        "type": "AssessmentItemEvent",
        "actor": {"id": "urn:kim", "type": "Person"},
        "action": "Completed",
        "object": {"id": "https://x.example/items/3", "type": "AssessmentItem", "isPartOf": "https://x.example/quiz/1"},
        "generated": {
            "id": "urn:r",
            "type": "FillinBlankResponse",
            "attempt": {"id": "urn:attempt:1", "type": "Attempt", "duration": "PT30S"},
        },
        "eventTime": "2026-03-02T09:30:00.000Z",
    },
    {
        "id": "urn:uuid:2",
        "type": "GradeEvent",
        "actor": {"id": "urn:grader", "type": "SoftwareApplication"},
        "action": "Graded",
        "object": {"id": "urn:attempt:1", "type": "Attempt"},
        "generated": {"type": "Score", "maxScore": 1.0, "scoreGiven": 1.0},
        "eventTime": "2026-03-02T09:31:00.000Z",
    },
]

FILES: dict[str, tuple[dict[str, str], list[tuple[Any, ...]]]] = {
    "EdNet KT1": (
        {
            "u7.csv": table(
                "timestamp|solving_id|question_id|user_answer|elapsed_time",
                "1772443800000|1|q1|b|12000",
                "1772443860000|2|q2|c|9000",
            ),
            "questions.csv": EDNET_QUESTIONS,
        },
        [
            ("u7", "q1", True, "2026-03-02 09:30:00", 12.0, None, ["7", "9"]),
            ("u7", "q2", False, "2026-03-02 09:31:00", 9.0, None, ["general"]),
        ],
    ),
    "EdNet KT4": (
        {
            "u8.csv": table(
                "timestamp|action_type|item_id|cursor_time|source|user_answer|platform",
                "1772443790000|enter|b1||sprint||mobile",
                "1772443800000|respond|q1||sprint|a|mobile",
                "1772443805000|respond|q1||sprint|b|mobile",
                "1772443810000|submit|b1||sprint||mobile",
                "1772443900000|respond|q2||sprint|a|mobile",
            ),
            "questions.csv": EDNET_QUESTIONS,
        },
        [("u8", "q1", True, "2026-03-02 09:30:05", None, None, ["7", "9"])],
    ),
    "ASSISTments 2009-2010": (
        {
            "skill_builder.csv": table(
                "order_id|assignment_id|user_id|assistment_id|problem_id|original|correct|attempt_count|ms_first_response|"
                "tutor_mode|skill_id|skill_name|hint_count|hint_total",
                "3|1|64|9|51424|1|1|1|32454|tutor|1|Box and Whisker|0|3",
                "4|1|64|9|51435|1|0|2|4922|tutor|1|Box and Whisker|1|3",
            )
        },
        [
            ("64", "51424", True, "2024-01-01 00:03:00", 32.454, 0, ["Box and Whisker"]),
            ("64", "51435", False, "2024-01-01 00:04:00", 4.922, 1, ["Box and Whisker"]),
        ],
    ),
    "ASSISTments 2012-2013": (
        {
            "2012.csv": table(
                "problem_log_id|skill|problem_id|user_id|assignment_id|assistment_id|start_time|end_time|problem_type|"
                "original|correct|bottom_hint|hint_count|actions|attempt_count|ms_first_response",
                "1|Area|77|5|2|3|2012-09-28 15:11:27|2012-09-28 15:11:40.0|choose|1|1|0|0|x|1|12000",
                "2||78|5|2|3|2012-09-28 15:12:27|2012-09-28 15:12:40|choose|1|0.5|0|2|x|1|8000",
            )
        },
        [
            ("5", "77", True, "2012-09-28 15:11:40", 12.0, 0, ["Area"]),
            ("5", "78", False, "2012-09-28 15:12:40", 8.0, 2, ["general"]),
        ],
    ),
    "ASSISTments 2017": (
        {
            "2017.csv": table(
                "studentId|MiddleSchoolId|skill|problemId|assignmentId|assistmentId|startTime|endTime|timeTaken|correct|"
                "original|hint|hintCount",
                "8|2|properties-of-geometric-figures|459|1|1|1096470301|1096470351|50|0|1|0|0",
            )
        },
        [("8", "459", False, "2004-09-29 15:05:51", 50.0, 0, ["properties-of-geometric-figures"])],
    ),
    "KDD Cup 2010": (
        {
            "algebra.txt": table(
                "Row|Anon Student Id|Problem Hierarchy|Problem Name|Problem View|Step Name|Step Start Time|"
                "First Transaction Time|Correct Transaction Time|Step End Time|Step Duration (sec)|"
                "Correct Step Duration (sec)|Error Step Duration (sec)|Correct First Attempt|Incorrects|Hints|Corrects|"
                "KC(Default)|Opportunity(Default)",
                "1|0BrbPbwCMz|Unit ES_04|EG4-FIXED|1|3(x+2) = 15|2005-09-09 12:24:35.0|2005-09-09 12:24:49.0|"
                "2005-09-09 12:25:15.0|2005-09-09 12:25:15.0|40|||0|2|3|1|[Skill A]~~[Skill B]|1~~1",
                mark="\t",
            )
        },
        [("0BrbPbwCMz", "EG4-FIXED / 3(x+2) = 15", False, "2005-09-09 12:24:49", 40.0, 3, ["[Skill A]", "[Skill B]"])],
    ),
    "DataShop student-step export": (
        {
            "steps.txt": table(
                "Row|Sample|Anon Student Id|Problem Hierarchy|Problem Name|Problem View|Step Name|Step Start Time|"
                "First Transaction Time|Step End Time|Step Duration (sec)|First Attempt|Incorrects|Hints|Corrects|"
                "KC (Single-KC)|Opportunity (Single-KC)",
                "1|All Data|Stu_1|Unit 1|P1|1|S1|2011-09-01 10:00:00|2011-09-01 10:00:05|2011-09-01 10:00:09|9|"
                "correct|0|0|1|KC1|1",
                "2|All Data|Stu_1|Unit 1|P1|1|S2|2011-09-01 10:01:00|2011-09-01 10:01:05|2011-09-01 10:01:09|.|hint|0|1|1||",
                mark="\t",
            )
        },
        [
            ("Stu_1", "P1 / S1", True, "2011-09-01 10:00:05", 9.0, 0, ["KC1"]),
            ("Stu_1", "P1 / S2", False, "2011-09-01 10:01:05", None, 1, ["general"]),
        ],
    ),
    "DataShop transactions": (
        {
            "tx.txt": table(
                "Row|Anon Student Id|Session Id|Time|Problem Name|Step Name|Outcome|Duration (sec)|KC (Default)",
                "1|Stu_1|S9|2011-09-01 10:00:00|P1|S1|HINT|3|KC1",
                "2|Stu_1|S9|2011-09-01 10:00:05|P1|S1|CORRECT|5|KC1",
                mark="\t",
            )
        },
        [("Stu_1", "P1 / S1", True, "2011-09-01 10:00:05", 5.0, None, ["KC1"])],
    ),
    "OULAD submissions": (
        {
            "studentAssessment.csv": table(
                "id_assessment|id_student|date_submitted|is_banked|score", "1752|11391|18|0|78", "1752|28400|22|0|39"
            ),
            "assessments.csv": table(
                "code_module|code_presentation|id_assessment|assessment_type|date|weight", "AAA|2013J|1752|TMA|19|10"
            ),
        },
        [
            ("11391", "1752", True, "2013-10-19 00:00:00", None, None, ["AAA"]),
            ("28400", "1752", False, "2013-10-23 00:00:00", None, None, ["AAA"]),
        ],
    ),
    "Item Response Warehouse": (
        {"irw.csv": table("id|item|resp|rt|date", "p1|i1|1|3.5|1772443800", "p1|i2|0|NA|1772443860")},
        [
            ("p1", "i1", True, "2026-03-02 09:30:00", 3.5, None, ["general"]),
            ("p1", "i2", False, "2026-03-02 09:31:00", None, None, ["general"]),
        ],
    ),
    "sequences of answers": (
        {"statics.csv": table("user_id|item_id|skill_id|correct|position", "7|2|3|1|0", "7|5|3|false|1", "7|5|3|?|x")},
        [
            ("7", "2", True, "2024-01-01 00:00:00", None, None, ["3"]),
            ("7", "5", False, "2024-01-01 00:01:00", None, None, ["3"]),
        ],
    ),
    "Moodle quiz export": (
        {
            "Algebra quiz-grades.csv": table(
                'Last name|First name|ID number|Email address|Status|Started|Completed|Duration|Grade/3.00|"Q. 1 /1.00"|'
                '"Q. 2 /2.00"|"Q. 3 /1.00"',
                "Kim|A|s1|a@x.example|Finished|2 March 2026  9:20 AM|2 March 2026  9:30 AM|10 mins|2.00|1.00|1.00|-",
                "Overall average||||||||2.00|1.00|1.00|",
            )
        },
        [
            ("s1", "Algebra quiz-grades Q1", True, "2026-03-02 09:30:00", 200.0, None, ["Algebra quiz-grades"]),
            ("s1", "Algebra quiz-grades Q2", False, "2026-03-02 09:30:00", 200.0, None, ["Algebra quiz-grades"]),
            ("s1", "Algebra quiz-grades Q3", None, "2026-03-02 09:30:00", 200.0, None, ["Algebra quiz-grades"]),
        ],
    ),
    "Open edX tracking log": (
        {"tracking.log": json.dumps({**EDX, "event_type": "page_close"}) + "\n" + json.dumps(EDX) + "\n"},
        [
            ("7", "p1_2_1", True, "2026-03-02 09:30:00", None, None, ["course-v1:X+Y+Z"]),
            ("7", "p1_3_1", False, "2026-03-02 09:30:00", None, None, ["course-v1:X+Y+Z"]),
        ],
    ),
    "xAPI": (
        {
            "statements.json": json.dumps(
                {
                    "statements": [XAPI, {**XAPI, "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"}}],
                    "more": "",
                },
                indent=1,
            )
        },
        [
            (
                "kim",
                "https://lms.example/items/7",
                True,
                "2026-03-02 09:30:00",
                62.5,
                None,
                ["https://lms.example/algebra"],
            )
        ],
    ),
    "Caliper": (
        {
            "envelope.json": json.dumps(
                {"sensor": "https://x.example", "sendTime": "t", "dataVersion": "v", "data": CALIPER}
            )
        },
        [
            (
                "urn:kim",
                "https://x.example/items/3",
                True,
                "2026-03-02 09:30:00",
                30.0,
                None,
                ["https://x.example/quiz/1"],
            )
        ],
    ),
}


def test_every_format_has_a_file_here() -> None:
    assert {f.name for f in FORMATS if not f.is_companion} == set(FILES)


@pytest.mark.parametrize(
    ("name", "is_packed"),
    [*((name, False) for name in FILES), *((name, True) for name, (files, _) in FILES.items() if len(files) > 1)],
)
def test_a_known_format_loads_without_a_question(
    run: Any, database: Engine, tmp_path: Path, name: str, is_packed: bool
) -> None:
    files, expected = FILES[name]
    paths = []
    for file_name, content in files.items():
        paths.append(tmp_path / file_name)
        paths[-1].write_text(content, encoding="utf-8")
    if is_packed:
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            for path in paths:
                archive.write(path, f"export/{path.name}")
        paths = [tmp_path / "all.zip"]
    result = run("load", *map(str, paths), "--timezone", "UTC")
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert f"is of the format {name}" in result.output
    found = stored(database)
    assert [(*row[:6], sorted(row[6])) for row in found] == [(*row[:6], sorted(row[6])) for row in expected]
    assert "0 new, 0 changed" in run("load", *map(str, paths), "--timezone", "UTC").output


def test_ednet_without_its_questions_says_what_is_missing(run: Any, tmp_path: Path) -> None:
    (tmp_path / "u7.csv").write_text(FILES["EdNet KT1"][0]["u7.csv"])
    assert "questions.csv" in str(run("load", str(tmp_path / "u7.csv")).exception)


def test_a_score_that_is_neither_right_nor_wrong_is_rejected_with_its_value(
    run: Any, database: Engine, tmp_path: Path
) -> None:
    (tmp_path / "irw.csv").write_text(table("id|item|resp|date", "p1|i1|1|1772443800", "p1|i2|3|1772443860"))
    result = run("load", str(tmp_path / "irw.csv"))
    assert "correct_not_boolean" in result.output
    assert len(stored(database)) == 1


@pytest.mark.reference
def test_a_published_log_without_times_loads_whole(run: Any, database: Engine) -> None:
    result = run("load", str(shared("data/statics_test.parquet")), "--dry-run")
    assert result.exit_code == 0, repr(result.exception)
    assert "is of the format sequences of answers" in result.output
    assert "33,600 read, 33,600 attempts, 0 rejected" in result.output
