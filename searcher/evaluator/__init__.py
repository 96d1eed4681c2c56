"""The evaluator of jobs on videos: training and measuring."""
