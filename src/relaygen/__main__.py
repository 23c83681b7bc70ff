"""``python -m relaygen``."""

import sys

from relaygen.cli import main

sys.exit(main())
