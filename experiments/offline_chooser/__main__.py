"""Choosers that learn from recorded runs alone: record, learn, estimate what they are worth, play, and write a page.

python -m experiments.offline_chooser OUT            all of it; what OUT holds is not done again
python -m experiments.offline_chooser OUT --ray local
"""

from __future__ import annotations

from pathlib import Path

from experiments.offline_chooser.record import record
from experiments.offline_chooser.study import evaluated, judged, learned, recorded
from experiments.offline_chooser.table import page
from experiments.options import parser
from policies.training.choices import Choices

HERE = Path(__file__).parent


def main() -> None:
    """Run the study, or what is left of it."""
    asked = parser("experiments.offline_chooser", __doc__)
    asked.add_argument("out", type=Path, metavar="OUT", help="folder of the runs and of what was played")
    asked.add_argument("--ray", metavar="local|ADDRESS", help="distribute runs and episodes with Ray")
    given = asked.parse_args()
    record(given.out / "runs", ray_address=given.ray)
    runs, skipped = recorded(given.out / "runs")
    print(*skipped, sep="\n")
    data = Choices.of(runs)
    networks = learned(data)
    judgement = judged(data, networks)
    print(page(runs, judgement, []))
    played = evaluated(given.out, networks, ray_address=given.ray)
    print(page(runs, judgement, played))


if __name__ == "__main__":
    main()
