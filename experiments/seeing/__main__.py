"""How well particles and atomic columns are seen, beside scikit-image and trackpy, at three doses.

    python -m experiments.seeing tune        searches settings of the classical ways, appends to tuned.jsonl
    python -m experiments.seeing run         all ways on the test scenes, appends to seen.jsonl
    python -m experiments.seeing table       writes RESULT.md and seeing.png from all of them
    python -m experiments.seeing measured    measured images beside the checkout, writes measured.png and measured.txt

Each step goes on where it was interrupted; tune and run take some ten minutes each on one core.
"""

from __future__ import annotations

from pathlib import Path

from experiments.options import parser
from experiments.seeing import study
from experiments.seeing.measured import measured
from experiments.seeing.picture import picture
from experiments.seeing.scenes import DOSES
from experiments.seeing.table import table

HERE = Path(__file__).parent


def main() -> None:
    """Run one step of the study."""
    asked = parser("experiments.seeing", __doc__)
    asked.add_argument("step", choices=["tune", "run", "table", "measured"])
    step: str = asked.parse_args().step
    for task in DOSES if step in ("tune", "run") else ():
        (study.tune if step == "tune" else study.run)(task, HERE)
    if step == "measured":
        text = measured(HERE)
        (HERE / "measured.txt").write_text(text + "\n", encoding="utf-8")
        print(text)
    if step == "table":
        picture(HERE)
        text = table(HERE)
        (HERE / "RESULT.md").write_text(text, encoding="utf-8")
        print(text)


if __name__ == "__main__":
    main()
