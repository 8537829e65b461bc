"""The R session: values, console, errors, time-outs, crashes, isolation, missing R and missing packages."""

import logging
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedtest_analytics.resources.r import frames, wire
from seedtest_analytics.resources.r.errors import (
    RConversionError,
    RCrashedError,
    REvaluationError,
    RNotFoundError,
    RPackageMissingError,
    RTimeoutError,
)
from seedtest_analytics.resources.r.installation import find_r, install_command, r_environment
from seedtest_analytics.resources.r.session import RSession
from tests._waits import LIMIT_SECONDS, wait_until

PROBE = Path(__file__).with_name("r_scripts") / "probe.R"


def through_the_wire(value):
    packed = b"".join(bytes(part) for part in wire.pack({"value": frames.to_wire(value, "value")}))
    return frames.from_wire(wire.unpack(packed)["value"])


def has_ended(pid: int) -> bool:
    """Whether a process has ended or is a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


class TestWire:
    def test_frame_keeps_values_and_missing_values(self):
        frame = pd.DataFrame(
            {
                "whole": pd.array([1, None, 3], dtype="Int64"),
                "real": [1.5, np.nan, -np.inf],
                "text": ["a", None, "ü\n"],
                "group": pd.Categorical(["v", None, "u"], categories=["u", "v"]),
                "flag": [True, False, True],
                "maybe": pd.array([True, None, False], dtype="boolean"),
                "large": [2**40, -1, 2**53],
            }
        )
        back = through_the_wire(frame)
        np.testing.assert_array_equal(back["whole"], [1, np.nan, 3])
        np.testing.assert_array_equal(back["real"], frame["real"])
        assert back["text"].tolist() == ["a", None, "ü\n"]
        assert back["group"].tolist() == frame["group"].tolist()
        assert back["flag"].dtype == bool
        assert back["maybe"].tolist() == [True, None, False]
        assert back["large"].tolist() == [2**40, -1, 2**53]

    def test_missing_number_is_sent_as_na_and_not_nan(self):
        vector = frames.to_wire(np.array([np.nan]), "x")
        assert vector.data.view(np.uint64)[0] & 0xFFFFFFFF == 1954

    @pytest.mark.parametrize(
        ("value", "names_cause"),
        [
            (np.array([2**60]), "2\\^53"),
            (pd.Series(pd.to_datetime(["2025-01-01"])), "datetime64"),
            (pd.Series(["a", 1], dtype=object), "mixes text with int"),
            (object(), "cannot be converted to R"),
            (pd.DataFrame([[1, 2]], columns=["a", "a"]), "duplicate column names"),
        ],
    )
    def test_refuses_what_r_cannot_hold(self, value, names_cause):
        with pytest.raises(RConversionError, match=names_cause):
            frames.to_wire(value, "x")

    @given(st.lists(st.floats(allow_nan=False), max_size=20), st.lists(st.text(max_size=5), max_size=20))
    def test_any_numbers_and_texts_survive(self, numbers, texts):
        np.testing.assert_array_equal(through_the_wire(np.array(numbers, dtype=float)), numbers)
        assert through_the_wire(pd.Series(texts, dtype=object)).tolist() == texts

    def test_messages_arrive_whole_from_any_pieces(self):
        sent = [{"n": 1, "x": wire.double(np.arange(5.0))}, {"n": 2}]
        stream = b"".join(bytes(part) for message in sent for part in wire.pack(message))
        unpacker, received = wire.Unpacker(), []
        for i in range(0, len(stream), 7):
            unpacker.feed(stream[i : i + 7])
            received += unpacker.messages()
        assert [m["n"] for m in received] == [1, 2]
        np.testing.assert_array_equal(received[0]["x"].data, np.arange(5.0))


class TestInstallation:
    def test_missing_r_says_how_to_install_it(self, tmp_path):
        with pytest.raises(RNotFoundError, match="apt-get install --no-install-recommends r-base-core"):
            find_r({"PATH": str(tmp_path)})

    def test_wrong_r_home_is_named(self, tmp_path):
        with pytest.raises(RNotFoundError, match=f"R_HOME = {tmp_path} does not contain R"):
            find_r({"R_HOME": str(tmp_path)})

    def test_r_that_fails_is_no_r(self, tmp_path):
        (tmp_path / "R").write_text("#!/bin/sh\nexit 3\n")
        (tmp_path / "R").chmod(0o755)
        with pytest.raises(RNotFoundError, match="RHOME failed"):
            find_r({"PATH": f"{tmp_path}:/usr/bin:/bin"})

    def test_missing_r_leaves_nothing_behind(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with RSession(environment={"PATH": ""}) as session, pytest.raises(RNotFoundError):
            session.call(PROBE, "echo", x=1)
        assert list(tmp_path.iterdir()) == []

    def test_only_allowed_variables_are_passed(self, tmp_path):
        (tmp_path / "lib").mkdir()
        (tmp_path / "lib/libR.so").touch()
        secrets = {"DATABASE_URL": "x", "AWS_SECRET_ACCESS_KEY": "x", "SOME_TOKEN": "x", "PGPASSWORD": "x"}
        installation = find_r({"R_HOME": str(tmp_path)})
        passed = r_environment(
            {**secrets, "HOME": "/h", "R_LIBS": "/l"}, installation, threads=2, temporary_folder=tmp_path
        )
        assert not secrets.keys() & passed.keys()
        assert passed["HOME"] == "/h"
        assert passed["R_LIBS"] == "/l"
        assert passed["OMP_NUM_THREADS"] == "2"

    def test_install_command_knows_debian_from_cran(self):
        command = install_command(("lme4", "mirt"))
        assert "apt-get install --no-install-recommends r-cran-lme4" in command
        assert 'install.packages(c("mirt")' in command


@pytest.fixture(scope="module")
def r():
    with RSession(timeout_seconds=LIMIT_SECONDS) as session:
        yield session


@pytest.mark.r
class TestSession:
    def test_what_forked_children_print_does_not_garble_the_result(self, r):
        """brms samples its chains in forks; two of them once wrote into one message, which became unreadable."""
        for _ in range(3):
            result = r.call(PROBE, "fork_and_print", children=4, lines=400)
            assert list(result["done"]) == [1, 2, 3, 4]
            assert result["draws"][-1] == 200_000

    def test_types_and_missing_values_in_r(self, r):
        frame = pd.DataFrame(
            {
                "whole": pd.array([1, None], dtype="Int64"),
                "real": [np.nan, 2.5],
                "text": [None, "b"],
                "group": pd.Categorical(["a", None]),
                "flag": pd.array([None, True], dtype="boolean"),
                "large": [2**40, 1],
            }
        )
        assert r.call(PROBE, "classes", frame=frame).tolist() == [
            "integer",
            "numeric",
            "character",
            "factor",
            "logical",
            "numeric",
        ]
        assert r.call(PROBE, "missing_counts", frame=frame).tolist() == [1, 1, 1, 1, 1, 0]

    def test_values_come_back_as_they_went(self, r):
        matrix = np.arange(6.0).reshape(2, 3)
        cube = np.arange(24).reshape(2, 3, 4)
        frame = pd.DataFrame({"s": ["a", None, "ü"], "g": pd.Categorical(["x", "y", None]), "n": [1, 2, 3]})
        back = r.call(
            PROBE, "echo", x={"matrix": matrix, "cube": cube, "nothing": None, "list": [1, "q", True], "frame": frame}
        )
        np.testing.assert_array_equal(back["matrix"], matrix)
        np.testing.assert_array_equal(back["cube"], cube)
        assert back["nothing"] is None
        assert [v.tolist() for v in back["list"]] == [[1], ["q"], [True]]
        assert back["frame"]["s"].tolist() == ["a", None, "ü"]
        assert back["frame"]["g"].tolist()[:2] == ["x", "y"]

    def test_empty_frame(self, r):
        back = r.call(PROBE, "echo", x=pd.DataFrame({"a": np.array([], dtype=float), "s": pd.Series([], dtype=object)}))
        assert list(back.columns) == ["a", "s"]
        assert len(back) == 0

    def test_console_messages_and_warnings_go_to_the_logger(self, r, caplog):
        with caplog.at_level(logging.INFO):
            assert r.call(PROBE, "noisy") is None
        lines = {(record.levelname, record.getMessage()) for record in caplog.records}
        assert lines >= {
            ("INFO", "R: printed in two parts"),
            ("INFO", "R: a message"),
            ("WARNING", "R: a warning"),
            ("INFO", "R: from a child process"),
        }

    def test_error_carries_message_call_and_traceback_and_r_lives_on(self, r):
        pid = r.pid
        with pytest.raises(REvaluationError, match="it broke on purpose") as caught:
            r.call(PROBE, "broken")
        assert caught.value.r_call.startswith("inner(")
        assert caught.value.traceback[-1].startswith("stop(")
        assert r.pid == pid

    def test_relative_paths_are_the_callers(self, r, tmp_path, monkeypatch):
        shutil.copy(PROBE, tmp_path / "copy.R")
        monkeypatch.chdir(tmp_path)
        assert r.call(Path("copy.R"), "echo", x=Path("data")).tolist() == [str(tmp_path / "data")]

    def test_many_different_texts(self, r):
        texts = [None, *(f"u{i}" for i in range(50_000)), None]
        assert r.call(PROBE, "echo", x=pd.Series(texts, dtype=object)).tolist() == texts

    def test_unknown_function_and_script(self, r):
        with pytest.raises(REvaluationError, match="no_such_function"):
            r.call(PROBE, "no_such_function")
        with pytest.raises(FileNotFoundError, match=r"there is no R script absent\.R"):
            r.call("absent.R", "f")
        with pytest.raises(ValueError, match="not the name of an R function"):
            r.call(PROBE, "system('id')")

    def test_result_without_counterpart_is_refused(self, r):
        with pytest.raises(RConversionError, match="class function"):
            r.call(PROBE, "a_function")

    def test_secrets_stay_outside(self):
        environment = {**os.environ, "DATABASE_URL": "postgresql://u:secret@h/d", "AWS_SESSION_TOKEN": "s"}
        with RSession(environment=environment) as session:
            names = set(session.call(PROBE, "environment_names"))
        assert not {"DATABASE_URL", "AWS_SESSION_TOKEN"} & names

    def test_missing_package_comes_with_the_install_command(self, r):
        with pytest.raises(RPackageMissingError, match=r"install\.packages\(c\(\"notapackage\"") as caught:
            r.call(PROBE, "echo", packages=("stats", "notapackage"), x=1)
        assert caught.value.missing == ("notapackage",)

    def test_temporary_files_go_with_the_session(self):
        with RSession() as session:
            folder = Path(session.call(PROBE, "temporary_folder")[0])
            assert folder.is_dir()
        assert not folder.parent.exists()


@pytest.mark.r
class TestFaults:
    @pytest.mark.parametrize("function", ["sleep_for_ever", "compute_for_ever"])
    def test_time_out_ends_r_and_the_next_call_works(self, r, function):
        r.call(PROBE, "echo", x=1)
        before = r.pid
        with pytest.raises(RTimeoutError, match="longer than its time-out of 1 s"):
            r.call(PROBE, function, timeout_seconds=1)
        wait_until(lambda: has_ended(before))
        assert r.call(PROBE, "echo", x=1).tolist() == [1]

    def test_time_out_ends_the_children_of_r(self, r, tmp_path):
        note = tmp_path / "pid"
        r.call(PROBE, "echo", x=1)
        with pytest.raises(RTimeoutError):
            r.call(PROBE, "leave_child", path=note, timeout_seconds=5)
        wait_until(lambda: has_ended(int(note.read_text())))

    def test_killed_in_mid_call(self, r):
        r.call(PROBE, "echo", x=1)
        threading.Timer(1, os.kill, (r.pid, signal.SIGKILL)).start()
        with pytest.raises(RCrashedError, match=r"R ended during sleep_for_ever of probe\.R: signal SIGKILL"):
            r.call(PROBE, "sleep_for_ever", timeout_seconds=LIMIT_SECONDS)
        assert r.call(PROBE, "echo", x=2).tolist() == [2]

    def test_crash_shows_the_last_lines(self, r):
        with pytest.raises(RCrashedError, match="about to go"):
            r.call(PROBE, "kill_r")

    def test_killed_between_calls(self, r, caplog):
        r.call(PROBE, "echo", x=1)
        os.kill(r.pid, signal.SIGKILL)
        os.waitid(os.P_PID, r.pid, os.WEXITED | os.WNOWAIT)
        assert r.call(PROBE, "echo", x=3).tolist() == [3]
        assert "starting a new one" in caplog.text

    def test_memory_limit_is_an_r_error_and_not_a_crash(self):
        with RSession(memory_limit_mb=2048) as session:
            with pytest.raises(REvaluationError, match="cannot allocate"):
                session.call(PROBE, "allocate", gigabytes=4)
            assert session.call(PROBE, "allocate", gigabytes=0.1) > 0

    def test_r_ends_with_the_platforms_process(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        child = os.fork()
        if child == 0:
            session = RSession()
            session.r_version()
            (tmp_path / "pid").write_text(str(session.pid))
            threading.Thread(target=session.call, args=(PROBE, "compute_for_ever"), daemon=True).start()
            time.sleep(1)
            os._exit(0)
        os.waitpid(child, 0)
        wait_until(lambda: has_ended(int((tmp_path / "pid").read_text())))
        assert [p.name for p in tmp_path.iterdir()] == ["pid"]


@pytest.mark.r
class TestResource:
    def test_calls_share_nothing(self):
        from seedtest_analytics.resources.r.resource import RResource

        resource = RResource()
        resource.call(PROBE, "set_global")
        assert resource.call(PROBE, "read_global").tolist() == [True]


def test_platform_side_does_not_import_rpy2():
    import subprocess
    import sys

    code = (
        "import sys; import seedtest_analytics.resources.r.resource; "
        "assert not [m for m in sys.modules if m.startswith('rpy2')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.r
def test_console_reaches_the_dagster_log():
    import dagster as dg

    from seedtest_analytics.resources.r.resource import RResource

    lines = []

    @dg.logger
    def collecting(_):
        handler = logging.Handler()
        handler.emit = lambda record: lines.append((record.levelname, record.getMessage()))
        logger = logging.Logger("collecting")
        logger.addHandler(handler)
        return logger

    @dg.op
    def talk(context: dg.OpExecutionContext, r: RResource):
        with r.session(context.log) as session:
            session.call(PROBE, "noisy")

    @dg.job(logger_defs={"collecting": collecting}, resource_defs={"r": RResource()})
    def talking():
        talk()

    talking.execute_in_process(run_config={"loggers": {"collecting": {}}})
    said = [(level, text.rsplit("R: ", 1)[1]) for level, text in lines if "R: " in text]
    assert ("INFO", "printed in two parts") in said
    assert ("WARNING", "a warning") in said
