"""Makes `outside_axes` importable by name, as a module beside a user's study file is."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
