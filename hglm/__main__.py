"""`python -m hglm`: the shell command."""

from __future__ import annotations

import sys

from hglm.cli import main

if __name__ == "__main__":
    sys.exit(main())
