"""The shell command does what the library does, and fails in one clear line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm import cli
from hglm.errors import HglmWarning
from hglm.report import frame_records, render

FORMULA = "reaction ~ days + (days | subject)"


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return hglm.load_dataset("sleepstudy")


@pytest.fixture(scope="module")
def fit(sleep: pd.DataFrame) -> hglm.Fit:
    return hglm.fit(FORMULA, sleep)


class Shell:
    """Run the command within this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = cli.main(arguments)
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m hglm` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "hglm", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_the_module_prints_the_summary_of_a_file(
    tmp_path: Path, sleep: pd.DataFrame, fit: hglm.Fit
) -> None:
    sleep.to_csv(tmp_path / "mine.csv", index=False)
    done = run("fit", FORMULA, str(tmp_path / "mine.csv"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{fit.summary()}\n"


def test_an_error_is_one_line_and_no_traceback() -> None:
    done = run("fit", "reaction ~ dayz + (1 | subject)", "sleepstudy")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("hglm: error: ")
    assert "`dayz`" in done.stderr
    assert done.stderr.count("\n") == 1


def test_letters_that_a_terminal_lacks_are_spelt_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"y": rng.normal(size=30), "naïve": rng.normal(size=30)})
    frame.assign(g=np.tile(list("abc"), 10)).to_csv(tmp_path / "d.csv", index=False)
    done = run("fit", "y ~ naïve + (1 | g)", str(tmp_path / "d.csv"), PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r"na\xefve" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="no head")
def test_a_reader_that_stops_early_is_no_error() -> None:
    command = f"{sys.executable} -m hglm datasets insteval | head -c 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "L", "")


@pytest.mark.parametrize("name", ["d.csv", "d.csv.gz", "d.tsv", "d.parquet", "D.CSV"])
def test_files_of_every_kind_give_the_same(
    shell: Shell, tmp_path: Path, sleep: pd.DataFrame, fit: hglm.Fit, name: str
) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        sleep.to_parquet(path)
    else:
        sleep.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
    assert shell("fit", FORMULA, str(path)) == (0, f"{fit.summary()}\n", "")


def test_a_shipped_data_set_needs_no_file(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: hglm.Fit
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shell("fit", FORMULA, "sleepstudy") == (0, f"{fit.summary()}\n", "")


def test_strings_are_factors(shell: Shell, tmp_path: Path) -> None:
    machines = hglm.load_dataset("machines")
    machines.to_csv(tmp_path / "m.csv", index=False)
    formula = "score ~ machine + (1 | worker)"
    code, out, _ = shell("fit", formula, str(tmp_path / "m.csv"))
    assert (code, out) == (0, f"{hglm.fit(formula, machines).summary()}\n")


@pytest.mark.parametrize("output", ["text", "markdown", "html", "latex"])
def test_outputs_with_anova(shell: Shell, fit: hglm.Fit, output: str) -> None:
    code, out, _ = shell("fit", FORMULA, "sleepstudy", "--anova", "--output", output)
    assert code == 0
    assert out.startswith(render(fit.summary(), output))
    assert "type III tests" in out
    assert "45.85" in out  # F of days: lmerTest 3.1-3


def test_type_and_degrees_of_freedom_of_the_tests(shell: Shell) -> None:
    options = ["--anova", "--type", "2", "--ddf", "kenward-roger"]
    out = shell("fit", FORMULA, "sleepstudy", *options)[1]
    assert "Analysis of variance, type II tests (hierarchical)" in out
    assert out.count("Kenward and Roger's method") == 2


def test_maximum_likelihood(shell: Shell) -> None:
    out = shell("fit", FORMULA, "sleepstudy", "--ml")[1]
    assert out.startswith("Linear mixed model fit by maximum likelihood\n")


@pytest.mark.parametrize(
    ("option", "column"), [("weights", "w"), ("frequencies", "days"), ("offset", "off")]
)
def test_columns_with_a_role(
    shell: Shell, sleep: pd.DataFrame, tmp_path: Path, option: str, column: str
) -> None:
    data = sleep.assign(days=sleep["days"] + 1)
    data.to_csv(tmp_path / "d.csv", index=False)
    out = shell("fit", FORMULA, str(tmp_path / "d.csv"), f"--{option}", column, "--json")[1]
    expected = hglm.fit(FORMULA, data, **{option: column})
    assert json.loads(out)["glance"]["logLik"] == pytest.approx(expected.llf, rel=1e-12)


def test_json_holds_the_fit_and_its_tests(shell: Shell, fit: hglm.Fit) -> None:
    code, out, _ = shell("fit", FORMULA, "sleepstudy", "--json", "--anova")
    record = json.loads(out)
    assert code == 0
    assert record["hglm"] == version("hglm")
    assert [row["term"] for row in record["coefficients"]] == ["Intercept", "days"]
    assert [row["estimate"] for row in record["coefficients"]] == fit.params.tolist()
    assert record["anova"] == frame_records(fit.anova())
    assert {key: record[key] for key in ("family", "link", "method")} == {
        "family": "gaussian",
        "link": "identity",
        "method": "reml",
    }


def test_degrees_of_freedom_of_the_coefficients_in_json(shell: Shell) -> None:
    out = shell("fit", FORMULA, "sleepstudy", "--json", "--ddf", "asymptotic")[1]
    assert [row["df"] for row in json.loads(out)["coefficients"]] == [None, None]


def test_random_effects_go_to_a_file(shell: Shell, tmp_path: Path, fit: hglm.Fit) -> None:
    path = tmp_path / "ranef.csv"
    assert shell("fit", FORMULA, "sleepstudy", "--ranef", str(path))[0] == 0
    found = pd.read_csv(path)
    expected = fit.ranef()
    assert list(found.columns) == list(expected.columns)
    np.testing.assert_allclose(found["estimate"], expected["estimate"], rtol=1e-12)


def test_a_fit_that_did_not_converge_is_printed_with_exit_code_3(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, fit: hglm.Fit
) -> None:
    certificate = replace(fit.certificate, converged=False, message="Not converged: why; do this.")
    stopped = replace(fit, estimates=replace(fit.estimates, certificate=certificate))
    monkeypatch.setattr(cli, "fit_model", lambda *_, **__: stopped)
    code, out, err = shell("fit", FORMULA, "sleepstudy")
    assert code == 3
    assert "Not converged: why; do this." in out
    assert err == "hglm: warning: Not converged: why; do this.\n"


def test_a_warning_is_one_line(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, fit: hglm.Fit
) -> None:
    def warn(*_: Any, **__: Any) -> hglm.Fit:
        warnings.simplefilter("default")
        warnings.warn("Beware.", HglmWarning, stacklevel=2)
        return fit

    monkeypatch.setattr(cli, "fit_model", warn)
    code, _, err = shell("fit", FORMULA, "sleepstudy")
    assert (code, err) == (0, "hglm: warning: Beware.\n")


def unreadable(folder: Path) -> dict[str, Path]:
    (folder / "d.xlsx").touch()
    (folder / "empty.csv").touch()
    (folder / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    (folder / "binary.csv").write_bytes(b"a\xff\xfe\n1\n")
    (folder / "bad.parquet").write_text("not parquet")
    return {path.stem: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("missing.csv", "There is no file 'missing.csv'; check its path."),
        ("slepstudy", "did you mean 'sleepstudy'? Nor is there a file 'slepstudy'."),
        ("d.xlsx", "save it as .csv, .tsv, .parquet"),
        ("empty.csv", "empty.csv cannot be read as csv: No columns to parse from file"),
        ("ragged.csv", "ragged.csv cannot be read as csv: "),
        ("binary.csv", "binary.csv cannot be read as csv: "),
        ("bad.parquet", "bad.parquet cannot be read as parquet: "),
    ],
)
def test_files_that_cannot_be_read(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, message: str
) -> None:
    unreadable(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, out, err = shell("fit", FORMULA, file)
    assert (code, out) == (1, "")
    assert err.startswith("hglm: error: ")
    assert message in err
    assert err.count("\n") == 1


def test_parquet_without_pyarrow_says_what_to_install(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(_: Path) -> pd.DataFrame:
        raise ImportError

    (tmp_path / "d.parquet").touch()
    monkeypatch.setattr(cli, "READERS", {".parquet": lacking})
    code, _, err = shell("fit", FORMULA, str(tmp_path / "d.parquet"))
    assert code == 1
    assert err.endswith("needs pyarrow: pip install pyarrow.\n")


@pytest.mark.parametrize(
    "options",
    [
        ["--link", "lgo"],
        ["--family", "gausian"],
        ["--weights", "no_such_column"],
        ["--anova", "--ddf", "satterthwait"],
        ["--ranef", "no/such/folder/ranef.csv"],
    ],
)
def test_options_that_cannot_be_followed(shell: Shell, options: list[str]) -> None:
    code, _, err = shell("fit", FORMULA, "sleepstudy", *options)
    assert code == 1
    assert err.startswith("hglm: error: ")
    assert err.count("\n") == 1


def test_a_slip_in_the_formula_gets_a_caret(shell: Shell) -> None:
    code, _, err = shell("fit", "reaction ~ days + (1 | subject", "sleepstudy")
    assert code == 1
    assert err.splitlines()[-1].strip() == "^"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fit"],
        ["fit", FORMULA],
        ["fit", FORMULA, "sleepstudy", "--type", "4", "--anova"],
        ["fit", FORMULA, "sleepstudy", "--type", "2"],
        ["fit", FORMULA, "sleepstudy", "--json", "--output", "html"],
        ["unknown"],
    ],
)
def test_wrong_usage_has_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("usage: hglm")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"hglm {version('hglm')}\n"


def test_datasets_are_listed_and_described(shell: Shell) -> None:
    code, out, _ = shell("datasets")
    assert code == 0
    assert set(hglm.list_datasets()["name"]) <= set(out.split())
    assert shell("datasets", "cbpp") == (0, f"{hglm.describe_dataset('cbpp')}\n", "")
    code, _, err = shell("datasets", "cbp")
    assert code == 1
    assert "did you mean 'cbpp'?" in err
