import re
import time
from pathlib import Path

import pytest
from rehearsal import Run

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "console.md").read_text(encoding="utf-8")


def test_the_example_in_python_decides(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "runs" / "asked").mkdir(parents=True)
    run.door.write(tmp_path / "runs" / "asked")
    monkeypatch.chdir(tmp_path)
    run.start()
    while run.client.status().question is None:
        time.sleep(0.01)
    exec(code, {})  # noqa: S102 - the page's own example
    while not run.ran:
        time.sleep(0.01)
    assert run.ran[0].id == "t0-0"
