"""Makes what tests of foreign instruments share importable by name: their environments, the contract, processes."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "hardware_bridge")]
