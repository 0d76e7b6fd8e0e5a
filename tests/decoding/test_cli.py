"""The command line: JSON alone on stdout, progress on stderr, and exit codes that mean something."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys

import pytest

from structgen import cli
from structgen.jsontext import relayout
from tests.decoding.models import model, tokenizer

SCHEMA = {
    "type": "object",
    "properties": {"name": {"enum": ["Ada", "née"]}, "ok": {"type": "boolean"}, "n": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "ok"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, a schema and a module with a type."""
    found = tmp_path_factory.mktemp("cli")
    model().save_pretrained(found / "model")
    tokenizer().save_pretrained(found / "model")
    (found / "schema.json").write_text(json.dumps(SCHEMA))
    (found / "broken.json").write_text('{"type": ')
    (found / "unsupported.json").write_text('{"$ref": "https://elsewhere.example/schema"}')
    (found / "cli_types.py").write_text("import enum\nclass Size(enum.Enum):\n    S = 'small'\n    L = 'large'\n")
    return found


@pytest.fixture
def run(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(*arguments, stdin=""):
        stream = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stream)
        try:
            code = cli.main(list(arguments))
        except SystemExit as error:
            code = error.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


GENERATE = ("generate", "--model", "model", "--schema", "schema.json")


def test_generate_prints_json_alone_on_one_line(run):
    code, out, err = run(*GENERATE, "Ada said yes")
    assert code == 0 and out.count("\n") == 1
    assert set(json.loads(out)) >= {"name", "ok"} and out == relayout(out) + "\n"
    assert "loading model" in err and "tokens/s" in err and "structgen: " in err


def test_generate_reads_stdin_indents_and_keeps_quiet(run):
    code, out, err = run(*GENERATE, "--indent", "2", "--quiet", "-", stdin="Ada said yes")
    assert code == 0 and out == json.dumps(json.loads(out), indent=2, ensure_ascii=False) + "\n"
    assert "structgen:" not in err
    assert json.loads(run(*GENERATE, "Ada said yes")[1]) == json.loads(out)


def test_generate_streams(run):
    code, out, _ = run(*GENERATE, "--stream", "Ada said yes")
    assert code == 0 and json.loads(out) == json.loads(run(*GENERATE, "Ada said yes")[1])
    code, out, _ = run(*GENERATE, "--stream", "--indent", "4", "Ada said yes")
    assert code == 0 and out == relayout(out, 4) + "\n"


def test_generate_samples_reproducibly(run):
    hot = [run(*GENERATE, "--temperature", "5", "--seed", str(seed), "Ada")[1] for seed in (1, 1, 2, 3, 4, 5)]
    assert hot[0] == hot[1] and len(set(hot)) > 1


def test_generate_text_of_a_regex_and_an_object_of_a_type(run):
    code, out, _ = run("generate", "--model", "model", "--regex", "[a-c]{5}", "letters")
    assert code == 0 and len(out) == 6 and set(out) <= set("abc\n")
    code, out, _ = run("generate", "--model", "model", "--type", "cli_types:Size", "--raw", "letters")
    assert code == 0 and json.loads(out) in ("small", "large")


def test_exit_code_1_if_the_output_is_incomplete(run):
    code, out, err = run(*GENERATE, "--max-new-tokens", "3", "Ada")
    assert code == 1 and out == "" and "max_new_tokens" in err
    code, out, err = run(*GENERATE, "--max-new-tokens", "3", "--stream", "Ada")
    assert code == 1 and out.startswith("{")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["generate", "text"],
        ["generate", "--schema", "schema.json"],
        ["generate", "--schema", "schema.json", "--regex", "a", "text"],
        ["generate", "--schema", "missing.json", "text"],
        ["generate", "--schema", "broken.json", "text"],
        ["generate", "--schema", "unsupported.json", "text"],
        ["generate", "--regex", "[a", "text"],
        ["generate", "--type", "cli_types:Nothing", "text"],
        ["generate", "--type", "nowhere", "text"],
        ["generate", "--schema", "schema.json", "--max-new-tokens", "0", "text"],
        ["generate", "--schema", "schema.json", "--max-new-tokens", "many", "text"],
        ["check", "broken.json"],
        ["check", "missing.json"],
        ["check", "unsupported.json"],
        ["validate", "--schema", "broken.json", "-"],
        ["validate", "--schema", "schema.json", "missing.json"],
    ],
    ids=" ".join,
)
def test_exit_code_2_for_wrong_usage_and_bad_schemas(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and err and "Traceback" not in err


def test_exit_code_3_if_the_model_cannot_be_loaded(run, monkeypatch, folder):
    code, out, err = run("generate", "--model", str(folder / "cli_types.py"), "--schema", "schema.json", "text")
    assert code == 3 and out == "" and "cannot load" in err
    monkeypatch.setattr("structgen.models.tiny_prompt.TINY_MODEL_PATH", folder)
    code, out, err = run("generate", "--schema", "schema.json", "text")
    assert code == 3 and out == "" and "--model" in err


def test_exit_code_4_if_the_model_fails(run, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("transformers.LlamaForCausalLM.forward", fail)
    code, out, err = run(*GENERATE, "text")
    assert code == 4 and out == "" and "out of memory" in err


def test_check_reports_every_keyword(run):
    code, out, _ = run("check", "schema.json")
    assert code == 0 and "/properties/n/maximum" in out and "enforced" in out


@pytest.mark.parametrize(
    "text, position",
    [
        ('{"name": "Ada", "ok": true}', None),
        ('\n {\n\t"name":"n\\u00e9e",   "ok":false, "n": 7\n}\n', None),
        ('{"name": "Ada"}', "line 1, column 15"),
        ('{"name": "Ada",\n "ok": yes}', "line 2, column 8"),
        ('{"name": "née", "ok": tru', "line 1, column 26"),
        ("", "line 1, column 1"),
    ],
)
def test_validate_tells_where_a_text_goes_wrong(run, folder, text, position):
    code, _, err = run("validate", "--schema", "schema.json", "-", stdin=text)
    assert code == (0 if position is None else 1) and (position or "") in err
    (folder / "text.json").write_text(text)
    assert run("validate", "--schema", "schema.json", "text.json")[0] == code


def test_validate_with_a_regex_and_a_type(run):
    assert run("validate", "--regex", "a+", "-", stdin="aaa\n")[0] == 0
    assert run("validate", "--regex", "a+", "-", stdin="aab")[0] == 1
    assert run("validate", "--type", "cli_types:Size", "-", stdin='"small"')[0] == 0


def test_warmup(run):
    code, out, err = run("warmup")
    assert code == 0 and out == "" and "kernels" in err


def test_help_is_quick_and_documents_the_exit_codes():
    def seconds():  # of processor time, which other processes on the machine do not lengthen
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    start = seconds()
    shown = subprocess.run([sys.executable, "-m", "structgen.cli", "--help"], capture_output=True, text=True, check=True)
    assert seconds() - start < 0.3 and "exit codes" in shown.stdout


def test_importing_structgen_imports_nothing_heavy():
    heavy = ("torch", "numba", "numpy", "transformers", "pydantic", "jsonschema")
    program = f"import sys, structgen, structgen.cli; print([m for m in {heavy} if m in sys.modules], len(dir(structgen)) > 20)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[] True\n"


def test_every_public_name_can_be_imported():
    import structgen

    for name in structgen.__all__:
        assert getattr(structgen, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = structgen.nothing_of_the_kind


@pytest.mark.parametrize(
    "text, line, indented",
    [
        ("[]", "[]", "[]"),
        ("{ }", "{}", "{}"),
        ("[ 1,2 ]", "[1, 2]", "[\n  1,\n  2\n]"),
        ('{"a" :{"b":[ ]} , "c":1.50}', '{"a": {"b": []}, "c": 1.50}', '{\n  "a": {\n    "b": []\n  },\n  "c": 1.50\n}'),
        ('"a,\\u0062 [\\" ]"', '"a,b [\\" ]"', '"a,b [\\" ]"'),
        ("1e400", "1e400", "1e400"),
    ],
)
def test_relayout(text, line, indented):
    assert relayout(text) == line and relayout(text, 2) == indented
