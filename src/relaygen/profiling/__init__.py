"""From a pair of models to its switch cues: trajectories, statistics, selection, profile, report."""

from relaygen.profiling.analysis import Analysis, AnalysisOptions, CueStatistics, analyse
from relaygen.profiling.collecting import CollectOptions, Progress, collect
from relaygen.profiling.frontier import Point, frontier
from relaygen.profiling.profile import make_profile
from relaygen.profiling.report import write_report
from relaygen.profiling.selection import Rule, RuleName, Verdict, select, select_for
from relaygen.profiling.store import TrajectoryStore, load_trajectories
from relaygen.profiling.trajectories import Trajectories

__all__ = [
    "Analysis",
    "AnalysisOptions",
    "CollectOptions",
    "CueStatistics",
    "Point",
    "Progress",
    "Rule",
    "RuleName",
    "Trajectories",
    "TrajectoryStore",
    "Verdict",
    "analyse",
    "collect",
    "frontier",
    "load_trajectories",
    "make_profile",
    "select",
    "select_for",
    "write_report",
]
