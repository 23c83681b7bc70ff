"""From a pair of models to its switch cues: trajectories, statistics, selection, profile, report."""
