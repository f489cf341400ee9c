"""``python -m lmmpy`` is the command ``lmmpy``."""

import sys

from lmmpy.cli import main

if __name__ == "__main__":
    sys.exit(main())
