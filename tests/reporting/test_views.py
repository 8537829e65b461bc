"""The parts of the page that every student has."""

from __future__ import annotations

import html

from seedtest_analytics.reporting import views
from tests.reporting.documents import WEEK, document, empty_document, full_document, topic_day


def test_who_was_last_estimated_long_ago_is_told_so() -> None:
    shown = str(views.ability(document(kpis={"theta": 0.4, "theta_n_answers": 1})))
    assert html.unescape(shown).endswith("The last one known is 0.40, from 1 answer.</p>")


def test_topics_have_a_column_of_abilities_only_where_one_is_known() -> None:
    assert views.topics(document()) is None
    assert "Ability</th>" not in str(views.topics(document(topic_features=[topic_day("a", 0, 3, 2)])))
    known = [topic_day("a", 0, 3, 2, theta_estimate=0.2, theta_sd=0.3), topic_day("b", 0, 3, 2)]
    assert str(views.topics(document(topic_features=known))).count("Ability</th>") == 1


def shown(part: object) -> str:
    return html.unescape(str(part))


def test_the_header_has_the_week_in_one_sentence() -> None:
    rows = [topic_day("a", 0, 3, 2), topic_day("b", 2, 1, 1)]
    page = shown(views.header(document(topic_features=rows)))
    assert "<strong>4 answers</strong> on 2 days in 2 topics, <strong>75%</strong> right." in page
    assert "No answers were recorded in this week." in shown(views.header(empty_document()))


def test_each_kpi_has_one_card() -> None:
    assert str(views.kpis(full_document())).count("<article") == 6
    assert shown(views.kpis(empty_document())).count("No number was computed for this week.") == 6


def test_one_ability_has_no_course() -> None:
    page = shown(views.ability(document(ability_trend=[{"date": WEEK, "theta": 0.25, "se": 0.1}])))
    assert "Ability is 0.25 (95% interval 0.05 to 0.45) as of 3 Nov 2025." in page
    assert "<svg" not in page
    assert str(views.ability(full_document())).count("<svg") == 2
    assert "No ability has been estimated yet" in shown(views.ability(empty_document()))


def test_practice_is_shown_by_day_and_by_week() -> None:
    before, now = topic_day("a", -7, 3, 2), topic_day("a", 0, 3, 2)
    counts = [
        str(views.practice(document(topic_features=rows))).count("<h3>")
        for rows in ([], [before], [now], [before, now])
    ]
    assert counts == [0, 0, 1, 2]
    assert "No answers were recorded in this week or the weeks before." in str(views.practice(empty_document()))


def test_topics_beyond_the_limit_are_summed_up() -> None:
    rows = [topic_day(f"t{i:02}", 0, 2, 1) for i in range(views.SHOWN_TOPICS + 2)]
    assert "And 2 more topics with 4 answers." in shown(views.topics(document(topic_features=rows)))


def test_goals_say_how_far_away_they_are() -> None:
    rows = [topic_day(t, 0, 2, 1, theta_estimate=0.0, theta_sd=0.1) for t in ("near", "far", "passed")]
    goals = [
        {"topic_id": "near", "target_level": 0.1},
        {"topic_id": "far", "target_level": 1.0, "priority": 3},
        {"topic_id": "passed", "target_level": -1.0},
        {"topic_id": "unknown", "target_level": 1.0},
        {"topic_id": "open"},
    ]
    page = shown(views.goals(document(topic_features=rows, goals=goals)))
    for words in (
        "close: within what the estimate can tell",
        "1.00 to go",
        "1.00 above the goal",
        "not known yet",
        "no level set",
    ):
        assert words in page
    assert page.index("far") < page.index("near")
    assert shown(views.goals(document(kpis={"P_target_source": "default"}))).count("the default goal") == 1
