"""Rows of weekly_message from the evidence of a week."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.assets.report_readers import TopicNames
from seedtest_analytics.reporting.language import known_language
from seedtest_analytics.reporting.message_rules import RECIPIENTS, Evidence, choose
from seedtest_analytics.reporting.message_sentences import sentence
from seedtest_analytics.reporting.topic_rules import TopicTally

COLUMNS = ["user_id", "week_start", "recipient", "code", "language", "text", "evidence"]


def evidence_of(row: Mapping[str, Any]) -> Evidence:
    """The evidence in a row of the statement `evidence`."""
    known = {name: row[name] for name in Evidence.__dataclass_fields__ if name != "topics"}
    return Evidence(**known, topics=tuple(TopicTally(*topic) for topic in row["topics"]))


def message_rows(
    evidence: Iterable[Mapping[str, Any]],
    week_start: Any,
    *,
    default_language: str,
    of_users: Mapping[str, str],
    of_recipients: Mapping[tuple[str, str], str],
    topics: TopicNames,
) -> list[dict[str, Any]]:
    """One row for each recipient of each student for whom a rule applies.

    A recipient's language is that of the consent, else the student's, else the default. Languages without a catalogue
    do not count. The evidence has the topic's id, the sentence its name.
    """
    rows = []
    for row in evidence:
        finding = choose(evidence_of(row))
        if finding is None:
            continue
        for recipient in RECIPIENTS:
            of_user = known_language(of_users.get(row["user_id"]), default_language)
            language = known_language(of_recipients.get((row["user_id"], recipient)), of_user)
            rows.append(
                {
                    "user_id": row["user_id"],
                    "week_start": week_start,
                    "recipient": recipient,
                    "code": finding.code,
                    "language": language,
                    "text": sentence(
                        f"{recipient}.{finding.code}", language, values=topics.in_values(finding.values, language)
                    ),
                    "evidence": json_text(finding.values),
                }
            )
    return rows
