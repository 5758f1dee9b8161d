"""The demo's command, before anything starts."""

import pytest

from penstock import demo


@pytest.mark.parametrize(("words", "status"), [(["--help"], 0), (["--data", "here"], 2)])
def test_what_is_no_demo_starts_nothing(
    words: list[str], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["penstock demo", *words])
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == status
    said = capsys.readouterr()
    assert "usage: penstock demo" in said.out + said.err
