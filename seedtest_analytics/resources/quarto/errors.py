"""Errors of report rendering. No message contains a student's data."""


class ReportError(RuntimeError):
    """A report could not be rendered."""


class TemplateError(ReportError):
    """The template is missing, malformed, or uses an unsupported feature; no report can be rendered."""


class CellError(ReportError):
    """A cell of the template failed for one document."""
