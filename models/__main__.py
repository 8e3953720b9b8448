"""`python -m models` is the `makemore` command."""

import sys

from models.cli import main

sys.exit(main())
