"""One page for people: what is left under attack, how it was measured, and where it fails."""

from rocmr_keras.reports.html.write import write_html_report

__all__ = ["write_html_report"]
