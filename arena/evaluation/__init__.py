"""Models judged on pictures whose mattes are known: scores, how sure they are, and the worst pictures to look at."""

from arena.evaluation.cases import Crop, Split
from arena.evaluation.contenders import Boxes
from arena.evaluation.report import Estimate, Report, Row, Skip, Summary
from arena.evaluation.run import evaluate
from arena.evaluation.scores import METRICS, Metric

__all__ = ["METRICS", "Boxes", "Crop", "Estimate", "Metric", "Report", "Row", "Skip", "Split", "Summary", "evaluate"]
