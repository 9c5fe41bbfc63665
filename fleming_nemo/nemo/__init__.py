"""NeMo's side of the package, with the extra `nemo`: recipes and executors for NeMo-Run.

The entry point of the group `nemo_run.cli` loads this module, so that `nemorun fleming ...` knows them.  Nothing
outside of it imports NeMo-Run or nemo-toolkit.  NeMo-Run starts `torchrun` and `python` by name: activate the
environment first.
"""

from fleming_nemo.nemo import executors, factories
from fleming_nemo.nemo.factories import RECIPES
from fleming_nemo.nemo.tasks import demo, train

__all__ = ["RECIPES", "demo", "executors", "factories", "train"]
