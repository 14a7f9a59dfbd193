"""The single-file HTML report of a run: what was seen, where it looked, what it believes, and how sure it is."""

from agent.report.page import write_report
from agent.report.tables import Scores

__all__ = ["Scores", "write_report"]
