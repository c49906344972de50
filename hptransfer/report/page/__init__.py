"""The report: one self-contained HTML file."""

from hptransfer.report.page.page import render_report

__all__ = ["render_report"]
