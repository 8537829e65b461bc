"""Every figure on the operators' page is that of a table: HTML and PDF in both languages, section by section.

The expected figures are computed here from the rows. What is left of a section must be the constants of its prose.
"""

from __future__ import annotations

import datetime as dt
import io
import json
from collections import Counter
from typing import Any

import numpy as np
from pypdf import PdfReader
from sqlalchemy import Engine

from seedtest_analytics.resources.quarto.renderer import ReportRenderer
from tests._database import execute
from tests.assets.cohorts._school import AS_OF, WEEK, School, drawn, monday, needs_help, store
from tests.assets.cohorts.test_pages import documents, pages_of, renderer  # noqa: F401  (a fixture)
from tests.assets.test_report_figures import Sections, day, figures, percent, plain, signed

SPEC = {
    "model": "2PL",
    "n_persons": 513,
    "n_items": 237,
    "n_answers": 3611,
    "scale_origin": "anchors",
    "n_anchors_tagged": 23,
    "linking_constants": {"A": 1.024, "B": -0.113, "n_anchors_used": 19},
}
METRICS = {
    "reasons": ["not converged after 487 passes: the next step is 0.029 logits"],
    "group_mean": 0.64,
    "group_sd": 1.37,
    "dif": {"covariate": "org_id", "n_tests": 246, "classes": {"A": 221, "B": 17, "C": 8}, "items_c": ["one"]},
}
FORECAST = [{"ds": "2026-03-09", "yhat": 0.083, "yhat_lower": 0.052, "yhat_upper": 0.114}]
AUDIT = {"n_students": 41, "n": 200, "n_events": 60, "auc_gap": -0.114, "abroca": 0.127, "calibration_gap": 0.318}
VERDICT = {"students": 19, "n": 310, "n_events": 9, "n_weeks": 8, "brier_model": 0.1259, "brier_reference": 0.2467}
JUDGED = {
    "n": 58,
    "brier_skill": 0.483,
    "calibration_slope": 2.63,
    "auc": 0.947,
    "coverage": 0.71,
    "coverage_level": 0.8,
}
UNUSUAL = {"value": 0.41, "expected": 0.77, "anomaly_score": -2.64}
SEGMENT = {"n": 12, "share": 0.63, "jaccard": 0.41}
ALERT = {"metric": "delta_b", "value": 0.713, "threshold": 0.5}
IN_TOPIC = {"topic_delta": 0.37, "gap_change": 0.06, "gap_change_se": 0.01}
GROWTH = {"level": 0, "target": 0, "distance": 0, "needed_pace": 0, "n_reference": 1}
EXAM = "00000000-0000-0000-0000-00000000000"
ROWS: list[tuple[str, dict[str, Any]]] = [
    *(("attempt_sync", {"exam_result_id": f"{EXAM}{n}", "source_version": "v", "source_hash": f"{EXAM}0", "n_elements": size,
                        "synced_at": AS_OF}) for n, size in enumerate((1300, 404))),
    *(("attempt_quarantine", {"exam_result_id": f"{EXAM}{n}", "question_ordinal": n, "reason": "no_item",
                              "is_excluded": n > 2, "detail": "d", "completed_at": at})
      for n, at in enumerate([AS_OF.replace(day=4), *[AS_OF.replace(day=1)] * 6])),
    *(("load_rejects", {"file_name": "f", "row_number": n, "reason": "user_id_missing", "raw_row": "{}",
                        "is_excluded": n > 1}) for n in range(5)),
    *(("anchor_candidates", {"week_start": monday(1), "item_id": f"i{n}", "run_id": "r", "a": 1, "b": 0, "n_responses": 1,
                             "n_calibrations": 1, "has_responses": n > 3, "has_difficulty": True,
                             "has_discrimination": True, "is_stable": n > 1, "is_flagged": n < 1, "is_tagged": n < 11,
                             "rank": n if n < 7 else None}) for n in range(29)),
    *(("item_calibration", {"item_id": str(n), "window_id": 1, "run_id": "d", "week_start": monday(2),
                            "drift_verdict": "moved" if n < 3 else "no_drift" if n < 16 else "cannot_be_judged",
                            "n": 200 + n, "dif": json.dumps({"delta_b": 0.5 + n / 100}),
                            "minimum_detectable_b": 0.4 + n / 100, "power_b": (92 - n) / 100,
                            "drift_in_topic": json.dumps({"origin": "topic" if n < 3 else None, **IN_TOPIC})})
      for n in range(47)),
    ("drift_alerts", {"item_id": 5, "window_id": 1, "run_id": "d", "severity": "severe", "week_start": monday(2), **ALERT}),
    ("fairness_audit", {"week_start": monday(3), "prediction": "S", "group_name": "north", "covariate": "org_id",
                        "reference": "south", "ranking_verdict": "gap", "calibration_verdict": "gap", **AUDIT}),
    ("prediction_verdict", {"week_start": WEEK, "prediction": "P", "method": "normal", "verdict": "as_is",
                            "reason": "past outcomes do not contradict the model", **VERDICT}),
    ("prediction_backtest", {"week_start": monday(4), "prediction": "P", "method": "normal", "judged_until": AS_OF,
                             "cohort_size": 1, "baseline": "b", "is_credible": True, "reasons": "[]", **JUDGED}),
    ("prophet_fit_meta", {"run_id": "f", "metric": "I_t", "method": "prophet", "forecast": json.dumps(FORECAST),
                          "fit_meta": "{}", "fitted_at": AS_OF, "week_start": WEEK}),
    ("prophet_anomalies", {"run_id": "f", "week_start": monday(5), "metric": "I_t", "fit_week": WEEK, **UNUSUAL}),
    ("segment_meta", {"run_id": "g", "week_start": WEEK, "method": "kmeans", "n_clusters": 2, "centers": "{}",
                      "n_users": 19, "fitted_at": AS_OF}),
    ("segment_profile", {"run_id": "g", "segment_id": 1, "week_start": WEEK, "segment_label": "many_hints",
                         "segment_description": "x", "centre": "{}", "scaled_centre": "{}", "is_new": True, **SEGMENT}),
    *(("student_growth", {"user_id": f"free-{n}", "week_start": WEEK, "target_source": "default",
                          "horizon_date": WEEK, "horizon_source": "configured", "reason": "no level 9 weeks ago",
                          "method": "m", "fitted_at": AS_OF, **GROWTH}) for n in range(4)),
    *(("platform_health", {"asset": f"asset{chr(97 + n)}", "domain": "d", "owner": "o",
                           "state": "stale" if n < 2 else "ok", "checks_passed": 1, "failed_checks": "{}",
                           "computed_at": AS_OF}) for n in range(13)),
]  # fmt: skip
"""Rows that no other part of the page shows the numbers of; those of students come from the school."""
CONSTANTS = {
    # What the prose of the sections says of itself, in English and in Korean.
    3: ("2", "2"),  # The model's name, 2PL.
    5: ("100 95", "100 95 10 10 10"),
    6: ("0", "0"),
    8: ("1 1", "1 1"),
    9: ("80", "80 8"),
    10: ("0.6", "0.6"),
    12: ("00 00", "00 00"),
}


def fill(engine: Engine) -> None:
    for table, row in ROWS:
        names = list(row)
        values = ", ".join(f":{name}" for name in names)
        execute(engine, f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})", row)
    execute(
        engine,
        "UPDATE mirt_fit_meta SET week_start = :week, is_usable = false, model_spec = CAST(:spec AS jsonb), "
        "metrics = CAST(:metrics AS jsonb)",
        {"week": monday(1), "spec": json.dumps(SPEC), "metrics": json.dumps(METRICS)},
    )


def rows_of(table: str) -> list[dict[str, Any]]:
    return [row for name, row in ROWS if name == table]


def n_of(table: str, **having: Any) -> str:
    return str(sum(all(row[name] == value for name, value in having.items()) for row in rows_of(table)))


def drifted(counts: list[str]) -> list[str]:
    """What the comparisons could find, by verdict; the three that moved; and of the others the ten with most answers."""
    found = []
    for verdict, n in zip(("moved", "no_drift", "cannot_be_judged"), counts, strict=True):
        of_verdict = [row for row in rows_of("item_calibration") if row["drift_verdict"] == verdict]
        medians = (np.median([row[name] for row in of_verdict]) for name in ("minimum_detectable_b", "power_b"))
        found += [n, plain(next(medians)), percent(next(medians))]
    of_topic = [signed(IN_TOPIC["topic_delta"]), *(signed(value, 0) for value in (6, 4.04, 7.96))]
    for row in rows_of("item_calibration"):
        change, least = signed(json.loads(row["dif"])["delta_b"]), plain(row["minimum_detectable_b"])
        if row["drift_verdict"] == "moved":
            found += [row["item_id"], change, least, *of_topic]
        elif int(row["item_id"]) >= 37:
            found += [row["item_id"], str(row["n"]), change, least, percent(row["power_b"])]
    return found


def expected(school: School) -> list[list[str]]:
    """The figures of each section."""
    users, week = school.users, school.of(school.users, days=7)
    helped = str(sum(map(needs_help, users)))
    sizes = [len(members) for members in school.classes.values()]
    right = percent(sum(a.is_right for a in week) / len(week))
    elements = sum(row["n_elements"] for row in rows_of("attempt_sync"))
    quarantined = [len(rows_of("attempt_quarantine")), int(n_of("attempt_quarantine", is_excluded=True))]
    link, dif = SPEC["linking_constants"], METRICS["dif"]
    ahead = FORECAST[0]
    moved = [n_of("item_calibration", drift_verdict=verdict) for verdict in ("moved", "no_drift", "cannot_be_judged")]
    candidates = rows_of("anchor_candidates")
    tagged = [row for row in candidates if row["is_tagged"]]
    return [
        [day(WEEK), day(WEEK + dt.timedelta(days=6)), str(len({a.user for a in week})), str(len(users)), str(len(week)),
         right, helped],
        [str(sum(n >= 5 for n in sizes)), str(sum(n < 5 for n in sizes)), str(len(school.without_class)), "0", helped],
        [*[str(len(week)), "0"] * 2, f"{elements:,}", *map(str, quarantined * 2),
         str(sum(row["completed_at"] >= AS_OF - dt.timedelta(days=7) for row in rows_of("attempt_quarantine"))),
         n_of("load_rejects"), n_of("load_rejects", is_excluded=True)],
        [day(monday(1)), *(f"{SPEC[name]:,}" for name in ("n_persons", "n_items", "n_answers", "n_anchors_tagged")),
         plain(link["A"], 3), plain(link["B"], 3), str(link["n_anchors_used"]), plain(METRICS["group_mean"]),
         plain(METRICS["group_sd"]), "487", "0.029"],
        [day(monday(1)), str(len(candidates)), str(len(tagged)), str(sum(not row["is_stable"] for row in tagged)),
         str(sum(row["is_flagged"] for row in tagged)), str(sum(row["rank"] is not None for row in candidates)),
         n_of("anchor_candidates", has_responses=False)],
        [day(monday(2)), *moved, "5", signed(ALERT["value"]), *drifted(moved)],
        [day(monday(3)), str(dif["n_tests"]), *map(str, dif["classes"].values()), str(AUDIT["n_students"]),
         *(plain(AUDIT[name]) for name in ("auc_gap", "abroca", "calibration_gap"))],
        [*(str(VERDICT[name]) for name in ("students", "n", "n_weeks")), plain(VERDICT["brier_model"], 3),
         plain(VERDICT["brier_reference"], 3)],
        [day(monday(4)), str(JUDGED["n"]), signed(100 * JUDGED["brier_skill"], 0), plain(JUDGED["calibration_slope"]),
         plain(JUDGED["auc"]), percent(JUDGED["coverage"]), percent(JUDGED["coverage_level"])],
        [day(WEEK + dt.timedelta(days=7)), *(plain(ahead[name]) for name in ("yhat", "yhat_lower", "yhat_upper")),
         day(monday(5)), plain(UNUSUAL["value"]), plain(UNUSUAL["expected"]), signed(UNUSUAL["anomaly_score"], 1)],
        [str(SEGMENT["n"]), percent(SEGMENT["share"]), plain(SEGMENT["jaccard"])],
        # No student has I_t, E_t, R_t, P or S.
        [*[str(len(users))] * 5, "9", n_of("student_growth"), n_of("platform_health", state="stale"),
         n_of("platform_health"), day(AS_OF.date())],
        [day(AS_OF.date())],
    ]  # fmt: skip


def test_every_figure_of_the_operators_page_equals_its_table_in_both_languages_and_formats(
    database: Engine,
    renderer: ReportRenderer,  # noqa: F811
) -> None:
    school = drawn()
    store(database, school)
    fill(database)
    document = documents(database)[-1]
    assert document.scope == "platform"
    for number, code in enumerate(("en", "ko")):
        page, pdf = pages_of(renderer, document.model_copy(update={"language": code}))
        sections = Sections(page.encode()).text
        of_tables = expected(school)
        assert len(sections) == len(of_tables)
        for at, (shown, found) in enumerate(zip(sections, of_tables, strict=True)):
            constants = CONSTANTS.get(at, ("", ""))[number].split()
            assert figures(shown, code) == Counter(found) + Counter(constants), (code, at)
        in_pdf = figures("\n".join(one.extract_text() for one in PdfReader(io.BytesIO(pdf)).pages), code)
        assert in_pdf == figures(" ".join(sections), code), code
