"""Reports for people: dicts in, tables, verdicts, pages and pictures out; never a model."""

from rocmr_keras.reports import pictures
from rocmr_keras.reports.html import write_html_report
from rocmr_keras.reports.tables import format_report
from rocmr_keras.reports.tables import merge_reports
from rocmr_keras.reports.tables import write_report
from rocmr_keras.reports.verdict import verdict

__all__ = [
    "format_report",
    "merge_reports",
    "pictures",
    "verdict",
    "write_html_report",
    "write_report",
]
