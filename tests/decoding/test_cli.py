"""The command line: JSON alone on stdout, progress on stderr, and exit codes that mean something."""

from __future__ import annotations

import io
import json
import re
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
    (found / "lossy.json").write_text('{"type": "string", "pattern": "(a)\\\\1"}')
    (found / "exponent.json").write_text('{"minimum": 1e99999999999999999999999}')
    (found / "escape.json").write_text('{"properties": {"a\\u001b[31m": 3}}')
    (found / "surrogate.json").write_text('{"type": "null", "\\ud800\\u001b[31m": 1}')
    (found / "sums.gbnf").write_text('root ::= sum\nsum ::= sum "+" [0-9] | [0-9]\n')
    (found / "wrong.gbnf").write_text('root ::= "a\n')
    (found / "cli_raises.py").write_text("raise RuntimeError('boom')")
    (found / "cli_exits.py").write_text("raise SystemExit(7)")
    (found / "cli_syntax.py").write_text("syntax error")
    (found / "cli_types.py").write_text("import enum\nclass Size(enum.Enum):\n    S = 'small'\n    L = 'large'\n")
    return found


@pytest.fixture
def run(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(*arguments, stdin=""):
        stream = io.TextIOWrapper(io.BytesIO(stdin if isinstance(stdin, bytes) else stdin.encode()), encoding="utf-8")
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
    assert "structgen:" not in err and "Loading" not in err
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


def test_finish_leaves_no_output_incomplete(run):
    code, out, err = run(*GENERATE, "--max-new-tokens", "1", "--finish", "Ada")
    assert code != 0 and out == "" and "the shortest takes" in err
    least = re.search(r"the shortest takes (\d+)", err)[1]
    code, out, _ = run(*GENERATE, "--max-new-tokens", least, "--finish", "Ada")
    assert code == 0 and isinstance(json.loads(out), dict)


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
        ["generate", "--schema", "schema.json", "--temperature", "-1", "text"],
        ["generate", "--schema", "schema.json", "--temperature", "nan", "text"],
        ["generate", "--schema", "schema.json", "--temperature", "inf", "text"],
        ["generate", "--schema", "schema.json", "--seed", "9" * 40, "text"],
        ["generate", "--schema", "schema.json", "--seed", "-1", "text"],
        ["generate", "--schema", "schema.json", "--indent", "-5", "text"],
        ["generate", "--schema", "schema.json", "--device", "foo", "text"],
        ["generate", "--schema", "schema.json", "Ada \udcff"],
        ["validate", "--type", "cli_raises:x", "schema.json"],
        ["validate", "--type", "cli_exits:x", "schema.json"],
        ["validate", "--type", "cli_syntax:x", "schema.json"],
        ["validate", "--type", "..:x", "schema.json"],
        ["validate", "--type", "os:sep", "schema.json"],
        ["check", "exponent.json"],
        ["check", "escape.json"],
        ["check", "a\0b"],
        ["check", "broken.json"],
        ["check", "missing.json"],
        ["check", "unsupported.json"],
        ["check", "--json", "unsupported.json"],
        ["check", "lossy.json"],
        ["check", "--lossy", "uniqueItems", "lossy.json"],
        ["check", "--lossy", "pattren", "lossy.json"],
        ["generate", "--schema", "lossy.json", "text"],
        ["generate", "--regex", "a", "--lossy", "pattern", "text"],
        ["validate", "--schema", "broken.json", "-"],
        ["validate", "--schema", "schema.json", "missing.json"],
        ["validate", "--schema", "schema.json"],
        ["validate", "--schema", "schema.json", "--regex", "a", "schema.json"],
        ["validate", "schema.json"],
        ["validate", "missing.json", "schema.json"],
        ["validate", "schema.json", "missing.json"],
        ["validate", "--schema", "schema.json", "--property-order", "sideways", "schema.json"],
        ["validate", "--regex", "a", "--property-order", "declared", "schema.json"],
    ],
    ids=" ".join,
)
def test_exit_code_2_for_wrong_usage_and_bad_schemas(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and err and "Traceback" not in err
    assert "\x1b" not in err and "\0" not in err and "_positive" not in err


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


def test_exit_code_5_if_the_output_cannot_be_written(run, monkeypatch):
    """And that the model failed is not said of it."""

    def full(*_, file=None, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cli, "_drop_stdout", lambda: None)
    monkeypatch.setattr(cli, "print", full, raising=False)
    for arguments in (("check", "schema.json"), (*GENERATE, "--stream", "--quiet", "Ada"), (*GENERATE, "--quiet", "Ada")):
        code, _, err = run(*arguments)
        assert (code, err) == (5, "structgen: cannot write the output: [Errno 28] No space left on device\n")


def test_exit_code_5_and_a_hint_for_a_fault_of_our_own(run, monkeypatch):
    monkeypatch.setattr("structgen.types.json_schema", lambda _: {}[0])
    code, out, err = run("check", "schema.json")
    assert code == 5 and out == "" and err.startswith("structgen: unexpected KeyError: 0\n") and "report" in err


@pytest.mark.parametrize(
    "arguments, redirection, code, message",
    [
        ("validate schema.json -", "<&-", 2, "stdin: it is closed"),
        ("generate --schema schema.json -", "<&-", 2, "stdin: it is closed"),
        ("check schema.json", ">/dev/full", 5, "cannot write the output"),
        ("check schema.json", ">&-", 5, "stdout is closed"),
        ("check schema.json", "| true", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full(folder, arguments, redirection, code, message):
    command = f"set -o pipefail; {sys.executable} -m structgen.cli {arguments} {redirection}"
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code and message in done.stderr and len(done.stderr.splitlines()) <= 1


def test_what_a_terminal_would_obey_is_not_printed(run):
    code, out, _ = run("check", "surrogate.json")
    assert code == 0 and "\\ud800\\x1b[31m" in out


def test_check_reports_every_keyword(run):
    code, out, _ = run("check", "schema.json")
    rows = [line.split() for line in out.splitlines()]
    assert code == 0 and rows[0] == ["pointer", "keyword", "status"]
    assert ["/properties/n/maximum", "maximum", "enforced"] in rows and ["keywords:", "9", "enforced"] in rows


def test_check_for_programs(run):
    code, out, _ = run("check", "--json", "surrogate.json")
    report = json.loads(out)
    assert code == 0 and report["exact"] is True and report["warnings"] == []
    assert [(entry["pointer"], entry["status"]) for entry in report["keywords"]] == [
        ("/type", "enforced"),
        ("/\ud800\x1b[31m", "annotation"),
    ]


def test_lossy(run):
    code, out, err = run("check", "--lossy", "pattern", "--lossy", "format", "lossy.json")
    assert code == 0 and err == "" and "/pattern  pattern  refused" in out and "warning: /pattern: pattern is not enforced" in out
    assert json.loads(run("check", "--json", "--lossy", "pattern", "lossy.json")[1])["exact"] is False
    assert run("validate", "--lossy", "pattern", "lossy.json", "-", stdin='"b"')[0] == 0
    assert run("validate", "--lossy", "pattern", "lossy.json", "-", stdin="1")[0] == 1
    code, out, err = run("generate", "--model", "model", "--schema", "lossy.json", "--lossy", "pattern", "--max-new-tokens", "2", "x")
    assert code in (0, 1) and "cannot be enforced" not in err


@pytest.mark.parametrize(
    "text, place, complaint",
    [
        ('{"name": "Ada", "ok": true}', None, ""),
        ('\n {\n\t"name":"n\\u00e9e",   "ok":false, "n": 7\n}\n', None, ""),
        ('{"name": "Ada"}', "line 1, column 15", "found '}', expected ',' or white space"),
        ('{"name": "Ada",\n "ok": yes}', "line 2, column 8", "found 'yes}', expected 'f' or 't' or white space"),
        ('\n\n  {"nam', "line 3, column 8", r"found the end, expected '\\' or 'e'"),
        ('{"name": "née", "ok": tru', "line 1, column 26", "found the end, expected 'e'"),
        ('{"name": "nüe", "ok": true}', "line 1, column 12", 'found \'üe", "ok": true}\', expected byte 0xa9'),
        ('{"ok": true, "name": "Ada"}', "line 1, column 3", "found 'ok\": true, \"name\": \"', expected '\\\\' or 'n'"),
        ('{"name": "Ada", "ok": true} {}', "line 1, column 28", "found ' {}', expected the end"),
        ('{"name": "Ada", "ok": true, "n": 100}', "line 1, column 36", "found '0}', expected '.' or '}' or white space"),
        ("", "line 1, column 1", "found the end, expected '{'"),
        (" \n ", "line 1, column 1", "found the end, expected '{'"),
        ("\ufeff{}", "line 1, column 1", "found '\\ufeff{}', expected '{'"),
    ],
)
def test_validate_tells_where_a_text_goes_wrong(run, folder, text, place, complaint):
    (folder / "text.json").write_text(text)
    wanted = "" if place is None else f"rejected at {place}: {complaint}"
    for *arguments, name in (
        ("--schema", "schema.json", "-"),
        ("--schema", "schema.json", "text.json"),
        ("schema.json", "text.json"),
        ("--property-order", "declared", "schema.json", "text.json"),
    ):
        code, out, err = run("validate", *arguments, name, stdin=text)
        prefix = "stdin: " if name == "-" else "text.json: "
        assert (code, out) == (0 if place is None else 1, "")
        assert err == "" if place is None else err == f"{prefix}{wanted}\n"


def test_validate_with_a_regex_and_a_type(run):
    assert run("validate", "--regex", "a+", "-", stdin="aaa\n")[0] == 0
    assert run("validate", "--regex", "a+", "-", stdin="aaa\r\n")[0] == 0
    assert run("validate", "--regex", "a+\\n", "-", stdin="aaa\n")[0] == 0
    assert run("validate", "--regex", " a+ ", "-", stdin=" aaa ")[0] == 0
    assert run("validate", "--regex", "a+", "-", stdin="aab")[0] == 1
    assert run("validate", "--regex", "a+", "-", stdin=" aaa")[0] == 1
    assert run("validate", "--regex", "a+", "-", stdin="aaa\n\n")[0] == 1
    assert run("validate", "--type", "cli_types:Size", "-", stdin='"small"')[0] == 0
    assert run("validate", "--type", "cli_types:Size", "-", stdin='"medium"')[0] == 1
    err = run("validate", "--type", "cli_types:Size", "-", stdin=b'"\xc3\xa9')[2]
    assert err == "stdin: rejected at line 1, column 2: found 'é', expected '\\\\' or 'l' or 's'\n"
    err = run("validate", "--regex", "né.", "-", stdin=b"n\xc3\xa9\x80x")[2]
    assert err.startswith("stdin: rejected at line 1, column 3: found '\ufffdx', expected ")
    err = run("validate", "--regex", "né.", "-", stdin=b"n\xc3")[2]
    assert err == "stdin: rejected at line 1, column 2: found '\ufffd', expected byte 0xa9\n"
    err = run("validate", "--regex", "[0-9]|a|[^\\0-~]", "-", stdin="b")[2]
    assert err == "stdin: rejected at line 1, column 1: found 'b', expected '0' to '9' or 'a' or '\\x7f' or byte 0xc2 to byte 0xf4\n"


def test_validate_reads_all_texts_and_rejects_if_any_is_rejected(run, folder):
    for name, text in (("one", '"S"'), ("two", '{"name": "Ada", "ok": true}'), ("three", '{"name": "Ada", "ok": true'), ("four", "[]")):
        (folder / f"{name}.json").write_text(text)
    code, out, err = run("validate", "schema.json", "two.json", "two.json")
    assert (code, out, err) == (0, "", "")
    code, _, err = run("validate", "schema.json", "one.json", "two.json", "three.json", "-", "four.json", stdin="null")
    assert code == 1 and [line.split(":")[0] for line in err.splitlines()] == ["one.json", "three.json", "stdin", "four.json"]


def test_validate_lines(run):
    lines = [
        '{"name": "Ada", "ok": true}',
        "",
        '{"name": "Ada", "ok": 1}\r',
        "  ",
        '\t{"name": "née", "ok": false} \r',
        '{"name": "Eve"}',
        "",
    ]
    code, out, err = run("validate", "--jsonl", "schema.json", "-", stdin="\n".join(lines))
    places = [line.partition(", expected")[0] for line in err.splitlines()]
    assert (code, out) == (1, "")
    assert places == [
        "stdin: rejected at line 3, column 23: found '1}'",
        "stdin: rejected at line 6, column 11: found 'Eve\"}'",
    ]
    assert run("validate", "--jsonl", "schema.json", "-", stdin="\n".join(lines[:2] + lines[4:5]))[0] == 0
    assert run("validate", "--jsonl", "--regex", "a+", "-", stdin="a\naa\r\n\naaa")[0] == 0
    assert run("validate", "schema.json", "-", stdin="\n".join(lines[:1] * 2))[0] == 1


def test_validate_hands_the_property_order_to_the_library(run, monkeypatch):
    from structgen import types

    asked = []
    make = types.json_schema

    def json_schema(schema, *, property_order="declared", **options):
        asked.append(property_order)
        return make(schema, **options)

    monkeypatch.setattr(types, "json_schema", json_schema)
    text = '{"name": "Ada", "ok": true}'
    assert run("validate", "--property-order", "any", "schema.json", "-", stdin=text)[0] == 0
    assert run("validate", "schema.json", "-", stdin=text)[0] == 0
    assert asked == ["any", "declared"]


def test_validate_and_generate_with_a_grammar(run):
    assert run("validate", "--grammar", "sums.gbnf", "-", stdin="1+2+3")[0] == 0
    code, _, err = run("validate", "--grammar", "sums.gbnf", "-", stdin="1+2+")
    assert code == 1 and "expected '0' to '9'" in err
    assert run("validate", "--grammar", "sums.gbnf", "--start", "sum", "-", stdin="7")[0] == 0
    code, out, _ = run("generate", "--model", "model", "--grammar", "sums.gbnf", "--max-new-tokens", "300", "one", "--seed", "1")
    assert code in (0, 1) and set(out.strip()) <= set("0123456789+")


def test_sample(run):
    code, out, err = run("sample", "--grammar", "sums.gbnf", "-n", "5", "--seed", "3")
    texts = out.splitlines()
    assert (code, len(texts), err) == (0, 5, "") and all(set(text[1::2]) <= {"+"} and text[::2].isdigit() for text in texts)
    assert run("sample", "--grammar", "sums.gbnf", "-n", "5", "--seed", "3")[1] == out
    assert all(len(text) <= 3 for text in run("sample", "--grammar", "sums.gbnf", "-n", "9", "--max-length", "3")[1].splitlines())
    value = json.loads(run("sample", "--schema", "schema.json", "--seed", "1")[1])
    assert value["name"] in ("Ada", "née")


def test_grammars_of_the_library(run, folder):
    code, out, err = run("grammars")
    assert (code, err) == (0, "") and re.search(r"(?m)^json +RFC 8259: JSON texts\.$", out) and len(out.splitlines()) > 5
    for name in (line.split()[0] for line in out.splitlines()):
        assert run("sample", "--grammar", name, "--seed", "1")[0] == 0
    assert run("validate", "--grammar", "semver", "-", stdin="1.0.0-rc.1\n")[0] == 0
    assert run("validate", "--grammar", "semver", "--start", "number", "-", stdin="10")[0] == 0
    assert "expected '.'" in run("validate", "--grammar", "semver", "-", stdin="1.0\n")[2]
    assert run("convert", "semver", "--to", "ebnf")[1].startswith("root ::= number")
    (folder / "cron").write_text("a file of this name comes first")
    assert ".gbnf, .ebnf, .lark" in run("sample", "--grammar", "cron")[2]


def test_the_prompt_shows_the_grammar_of_the_library(run, monkeypatch):
    shown = []
    prompt = cli._prompt
    monkeypatch.setattr(cli, "_prompt", lambda *arguments: shown.append(prompt(*arguments)) or shown[-1])
    assert run("generate", "--model", "model", "--grammar", "semver", "--max-new-tokens", "3", "x")[0] in (0, 1)
    assert "Semantic Versioning 2.0.0" in str(shown)


def test_convert(run, folder):
    code, out, err = run("convert", "sums.gbnf", "--to", "ebnf")
    assert (code, err) == (0, "") and out.startswith("root ::= sum\n")
    (folder / "sums.ebnf").write_text(out)
    assert run("convert", "sums.ebnf", "--to", "gbnf")[1] == 'root ::= sum\nsum ::= sum "+" [0-9] | [0-9]\n'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "--grammar", "schema.json"], ".gbnf, .ebnf, .lark"),
        (["sample", "--grammar", "jsno"], "did you mean 'json'?"),
        (["sample", "--grammar", "no/where"], "no grammar 'no/where' in the library"),
        (["sample", "--grammar", "uri", "--start", "x"], "has no rules"),
        (["convert", "semvre", "--to", "lark"], "did you mean 'semver'?"),
        (["sample", "--grammar", "wrong.gbnf"], "line 2, column 1"),
        (["sample", "--grammar", "sums.gbnf", "--start", "x"], "no rule 'x'"),
        (["sample", "--regex", "a", "--start", "x"], "--start is for grammars"),
        (["sample", "--regex", "a*", "--max-length", "0"], "at least 1"),
        (["convert", "sums.gbnf", "--to", "bnf"], "gbnf, ebnf, lark"),
        (["convert", "nowhere.gbnf", "--to", "lark"], "cannot read"),
    ],
)
def test_wrong_use_of_grammars(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and message in err


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
