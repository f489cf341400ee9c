"""Long work: many small questions in blocks, kept as they are answered, in one process or many."""

from lmmpy.scan.blocks import Block, blocks_of
from lmmpy.scan.fingerprints import digest
from lmmpy.scan.progress import Progress
from lmmpy.scan.run import Outcome, run_scan
from lmmpy.scan.task import Task

__all__ = ["Block", "Outcome", "Progress", "Task", "blocks_of", "digest", "run_scan"]
