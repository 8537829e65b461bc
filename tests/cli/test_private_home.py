"""The home: its files are for their owner alone, and those of a stranger are not read."""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from seedtest_analytics.cli import app
from seedtest_analytics.cli.home import kept_settings, use_home
from seedtest_analytics.instance_home import DevServerError, _write_instance_file
from seedtest_analytics.private_files import is_ours, make_private
from tests.cli.conftest import Seedtest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
STRANGER = 12345


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


def settings_file(home: Path, text: str = "SEEDTEST_TIMEZONE=Asia/Seoul\n") -> Path:
    path = home / "settings.env"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_own_settings_are_read(home: Path) -> None:
    settings_file(home, "# a comment\nSEEDTEST_TIMEZONE = Asia/Seoul\n\nIRT_MODEL=2PL\n")
    assert kept_settings(home) == {"SEEDTEST_TIMEZONE": "Asia/Seoul", "IRT_MODEL": "2PL"}


@needs_root
def test_the_settings_of_another_user_are_not_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.chown(settings_file(home), STRANGER, STRANGER)
    assert kept_settings(home) == {}
    assert "is ignored: another OS user may have written it" in capsys.readouterr().err


def test_a_file_that_all_may_write_is_not_read(home: Path) -> None:
    settings_file(home).chmod(0o666)
    assert kept_settings(home) == {}


def test_a_link_is_not_followed(home: Path, tmp_path: Path) -> None:
    settings_file(tmp_path)
    (home / "settings.env").symlink_to(tmp_path / "settings.env")
    assert kept_settings(home) == {}


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "PYTHONPATH", "PGSERVICEFILE", "AWS_CONFIG_FILE", "R_HOME"])
def test_no_variable_but_a_setting_is_taken_from_a_home(
    home: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(name, raising=False)
    settings_file(home, f"{name}=/stranger\nSEEDTEST_TIMEZONE=Asia/Seoul\n")
    use_home(home)
    assert name not in os.environ
    assert os.environ["SEEDTEST_TIMEZONE"] == "Asia/Seoul"
    error = capsys.readouterr().err
    assert name in error
    assert "/stranger" not in error


@needs_root
@pytest.mark.parametrize("kind", ["folder", "link", "writable"])
def test_the_home_in_a_strangers_folder_is_not_used(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the old code the stranger's cached programs run, and the stranger's database gets the data."""
    home, other = tmp_path / ".dagster", tmp_path / "other"
    other.mkdir()
    if kind == "link":
        home.symlink_to(other)
    else:
        home.mkdir()
    if kind == "writable":
        home.chmod(0o777)
    else:
        os.lchown(home, STRANGER, STRANGER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr("sys.argv", ["seedtest", "status"])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 1
    assert "name your own home with --home or DAGSTER_HOME" in " ".join(capsys.readouterr().err.split())
    assert "DAGSTER_HOME" not in os.environ
    assert not list(home.iterdir())


@needs_root
def test_the_instance_file_of_another_user_is_not_loaded(home: Path) -> None:
    path = home / "dagster.yaml"
    path.write_text("run_launcher: {module: stranger, class: Evil}")
    os.chown(path, STRANGER, STRANGER)
    with pytest.raises(DevServerError, match="another OS user may have written"):
        _write_instance_file(home, Path(__file__).parents[2] / "dagster.yaml")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_a_new_home_cannot_be_listed(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "home"
    make_private(folder)
    for path in (folder, folder.parent, folder.parent.parent):
        assert mode(path) & 0o066 == 0
    assert mode(tmp_path) & 0o700 == 0o700


@pytest.mark.usefixtures("open_umask")
def test_the_files_of_a_cohort_are_for_their_owner_alone(seedtest: Seedtest, tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    code, output = seedtest("simulate", "--students", "3", "--weeks", "4", "--out", str(out))
    assert code == 0, output
    found = [path for path in out.rglob("*") if path.is_file()]
    assert found
    assert [path.name for path in (out, *found) if mode(path) & 0o077] == []


def test_only_files_of_this_user_or_root_are_ours(tmp_path: Path) -> None:
    path = settings_file(tmp_path)
    assert is_ours(path)
    path.chmod(0o622)
    assert not is_ours(path)
    assert not is_ours(tmp_path)


@pytest.fixture
def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[[str], str]:
    """``refused(home)`` returns the one sentence with which a command ends that needs the home."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.chdir(tmp_path)

    def run(home: str) -> str:
        for command in ("migrate", "up"):
            monkeypatch.setattr("sys.argv", ["seedtest", "--home", home, command])
            with pytest.raises(SystemExit) as ended:
                app.main()
            found = capsys.readouterr()
            assert (ended.value.code, found.out, found.err.count("\n")) == (1, "", 1)
        return found.err

    return run


@pytest.mark.parametrize("below", ["", "/home", "/other/home"])
def test_a_file_is_no_home(below: str, tmp_path: Path, refused: Callable[[str], str]) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be used: Not a directory" in (said := refused(f"{tmp_path}/file{below}"))
    assert "--home or DAGSTER_HOME" in said


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
@pytest.mark.parametrize("home", ["/proc/home", "/proc/other/home"])
def test_a_home_that_cannot_be_created_is_named(home: str, refused: Callable[[str], str]) -> None:
    assert f"the home {home} cannot be used: No such file or directory" in refused(home)


@pytest.mark.parametrize("name", ["x" * 300, "two\nlines"])
def test_a_name_that_no_folder_can_have_is_refused(name: str, tmp_path: Path, refused: Callable[[str], str]) -> None:
    assert re.search("File name too long|has a line break in its name", refused(f"{tmp_path}/{name}"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("home", ["", " "])
def test_an_empty_home_is_not_the_working_folder(home: str, tmp_path: Path, refused: Callable[[str], str]) -> None:
    assert "--home is empty" in refused(home)
    assert not list(tmp_path.iterdir())
