"""The command line's own help."""

import shlex

import pytest

from agent.cli import EXAMPLES, parser


@pytest.mark.parametrize("command", EXAMPLES)
def test_every_command_shows_examples_that_it_reads(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args([command, "--help"])
    shown = capsys.readouterr().out.partition("examples:\n")[2].splitlines()
    assert shown
    for line in shown:
        program, *arguments = shlex.split(line.partition("   (")[0])
        assert program == "adaptem"
        parser().parse_args(arguments)
