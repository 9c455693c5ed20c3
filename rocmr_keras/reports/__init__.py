"""Reports for people: dicts in, tables, verdicts, pages and pictures out; never a model."""

from rocmr_keras.reports import pictures
from rocmr_keras.reports.comparison import format_comparison
from rocmr_keras.reports.comparison import format_transfer
from rocmr_keras.reports.comparison import recall_curve
from rocmr_keras.reports.conclusion import verdict
from rocmr_keras.reports.corruptions import corruption_recalls
from rocmr_keras.reports.corruptions import format_corruptions
from rocmr_keras.reports.html import write_html_report
from rocmr_keras.reports.leaderboard import format_leaderboard
from rocmr_keras.reports.leaderboard import leaderboard_entry
from rocmr_keras.reports.leaderboard import read_entries
from rocmr_keras.reports.rows import write_rows
from rocmr_keras.reports.tables import format_report
from rocmr_keras.reports.tables import write_report

__all__ = [
    "corruption_recalls",
    "format_comparison",
    "format_leaderboard",
    "format_corruptions",
    "format_report",
    "format_transfer",
    "leaderboard_entry",
    "pictures",
    "read_entries",
    "recall_curve",
    "verdict",
    "write_html_report",
    "write_report",
    "write_rows",
]
