"""Reports for people: dicts in, tables, verdicts, pages and pictures out; never a model."""

from rocmr_keras.reports import pictures
from rocmr_keras.reports.comparison import format_comparison
from rocmr_keras.reports.comparison import format_transfer
from rocmr_keras.reports.comparison import recall_curve
from rocmr_keras.reports.conclusion import verdict
from rocmr_keras.reports.html import write_html_report
from rocmr_keras.reports.rows import write_rows
from rocmr_keras.reports.tables import format_report
from rocmr_keras.reports.tables import write_report

__all__ = [
    "format_comparison",
    "format_report",
    "format_transfer",
    "pictures",
    "recall_curve",
    "verdict",
    "write_html_report",
    "write_report",
    "write_rows",
]
