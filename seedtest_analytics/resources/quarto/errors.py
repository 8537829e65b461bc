"""What can go wrong with a report. No message holds a student's data."""


class ReportError(RuntimeError):
    """A report could not be made."""


class TemplateError(ReportError):
    """The template cannot be rendered for anybody: it is missing, malformed, or uses what is not supported."""


class CellError(ReportError):
    """A cell of the template failed for one document."""
