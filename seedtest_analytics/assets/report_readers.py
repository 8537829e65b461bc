"""Who reads the reports of a week: the language of each, and names of topics instead of ids."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.reporting.cohort_document import CohortDocument
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.language import known_language
from seedtest_analytics.settings import ReportSettings

SQL = "reports/readers.sql"


@dataclass(frozen=True)
class TopicNames:
    """Names of topics by id and language, from the table that the customer fills."""

    by_topic: Mapping[str, Mapping[str, str]]

    def of(self, topic_id: str, language: str) -> str | None:
        """The name in a language, else any other name; None for a topic without a name."""
        names = self.by_topic.get(topic_id)
        return names.get(language) or names[min(names)] if names else None

    def in_values(self, values: Mapping[str, Any], language: str) -> dict[str, Any]:
        """The values of a message, with the name of its topic in place of the id."""
        name = self.of(values["topic"], language) if "topic" in values else None
        return {**values, "topic": name} if name else dict(values)


@dataclass(frozen=True)
class Readers:
    """The language of each reader and the names of topics by language."""

    default: str
    languages: Mapping[str, str]
    topics: TopicNames

    def of(self, document: ReportDocument) -> ReportDocument:
        """The document in its reader's language. A topic without a name in it is shown by any other name."""
        code = known_language(self.languages.get(document.user_id), self.default)
        ids = {row.topic_id for row in document.topic_features} | {goal.topic_id for goal in document.goals}
        return document.model_copy(update={"language": code, "topic_names": self.names(ids, code)})

    def of_cohort(self, document: CohortDocument) -> CohortDocument:
        """The document in the default language, because nobody says which one the readers of a group's page speak."""
        named = self.names(document.topic_ids, self.default)
        return document.model_copy(update={"language": self.default, "topic_names": named})

    def names(self, topic_ids: Collection[str], language: str) -> dict[str, str]:
        """The names of topics in a language; a topic without a name in it has any other name.

        They are in their order, so that equal documents give equal bytes in every process.
        """
        return {topic_id: name for topic_id in sorted(topic_ids) if (name := self.topics.of(topic_id, language))}


def load_readers(connection: Connection, week: Week, *, settings: ReportSettings) -> Readers:
    """The readers of a week, from the tables that the customer fills."""
    languages: dict[str, str] = {}
    if connection.execute(statement(SQL, "has_language")).scalar_one():
        parameters = {"week_start": week.start, "default_language": settings.language}
        languages = dict(connection.execute(statement(SQL, "languages"), parameters).tuples().all())
    return Readers(settings.language, languages, topics=load_topic_names(connection))


def load_topic_names(connection: Connection) -> TopicNames:
    """Every name of a topic."""
    topics: dict[str, dict[str, str]] = {}
    for language, topic_id, name in connection.execute(statement(SQL, "topics")).tuples():
        topics.setdefault(topic_id, {})[language.lower()] = name
    return TopicNames(topics)
