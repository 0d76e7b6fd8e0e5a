"""The ``structgen`` command: generate, infill, check, validate, sample, convert, grammars, warmup.

Results go to stdout, everything else to stderr.

Nothing heavy is imported before it is needed, so that ``structgen --help`` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from structgen._version import __version__
from structgen.errors import ModelOutputError, StructgenError
from structgen.progress import Progress, harmless, tell

if TYPE_CHECKING:
    from structgen.automaton import TokenAutomaton
    from structgen.explanation import Explanation
    from structgen.grammars.constraint import Constraint
    from structgen.types import TypedConstraint

__all__ = ["main"]

OK, INCOMPLETE, USAGE, NO_MODEL, FAILED, UNEXPECTED = range(6)

EXIT_CODES = """exit codes:
  0  done (validate: all texts are accepted)
  1  the output was not complete when the tokens ran out (validate: a text is rejected)
  2  wrong usage, or a schema, regex or type that cannot be used
  3  the model cannot be loaded
  4  the model failed while generating
  5  the output cannot be written, or something went wrong that should not have"""
MAX_INDENT = 64
START = "start rule of the grammar (default: root in GBNF, the first in EBNF, start in Lark)"
GRAMMAR = "grammar in GBNF (.gbnf), EBNF (.ebnf) or Lark (.lark), or the name of one in the library"

INSTRUCTION = """{text}

Answer with nothing but JSON that is valid under this JSON Schema:
{schema}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ModelOutputError as error:
        return _fail(INCOMPLETE, error)
    except StructgenError as error:
        return _fail(USAGE, error)
    except _Failure as error:
        return _fail(error.code, error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read stdout has seen enough
        _drop_stdout()
        return OK
    except Exception as error:
        return _fail(UNEXPECTED, f"unexpected {type(error).__name__}: {error}\nThis is a fault of structgen; please report it.")


def generate(arguments: argparse.Namespace) -> int:
    """``structgen generate``: text in, JSON (or text matching a regex) out."""
    progress = Progress(arguments.quiet)
    text = _read_text(arguments.text)
    with progress.step("reading the constraint"):
        constraint = _constraint(arguments)
    device = _device(arguments.device)
    model, tokenizer = _load_model(arguments, device, progress)
    if arguments.diffusion:
        return _diffuse(arguments, model, tokenizer, text, constraint, progress)
    from structgen.compiler import warmup as compile_kernels
    from structgen.generator import Generator

    with progress.step("compiling the constraint"):
        compile_kernels(rare=False)
        generator = Generator(model, tokenizer)
        generator.automaton(constraint)
    if arguments.seed is not None:
        import torch

        torch.manual_seed(arguments.seed)
    sampling = {"temperature": arguments.temperature} if arguments.temperature else {"do_sample": False}
    budget = {"max_new_tokens": arguments.max_new_tokens or 512, "finish": arguments.finish}
    stream = generator.stream(_prompt(arguments, text, constraint, tokenizer), constraint, **budget, **sampling)
    try:
        _print_answer(stream, constraint, arguments)
    finally:
        stream.close()
    rate = len(stream.tokens) / max(stream.seconds, 1e-9)
    progress.say(f"{len(stream.tokens)} tokens in {stream.seconds:.1f} s ({rate:.0f} tokens/s)")
    return OK


def _diffuse(arguments: argparse.Namespace, model: Any, tokenizer: Any, text: str, constraint: Any, progress: Progress) -> int:
    """``structgen generate --diffusion``."""
    from structgen.compiler import compile
    from structgen.diffusion.generation import run, settings_of
    from structgen.diffusion.model import as_diffusion_model
    from structgen.generator import encoded
    from structgen.jsontext import relayout
    from structgen.vocabulary import Vocabulary

    vocab = Vocabulary.from_tokenizer(tokenizer)
    with progress.step("compiling the constraint"):
        automaton = compile(constraint, vocab)
    ids = encoded(tokenizer, _prompt(arguments, text, constraint, tokenizer))
    settings = settings_of(temperature=arguments.temperature, seed=arguments.seed)
    tokens, took = run(as_diffusion_model(model, tokenizer), ids, automaton, vocab, arguments.max_new_tokens or 128, settings)
    answer = vocab.decode(tokens).decode()
    _write(relayout(answer, arguments.indent) if constraint.schema is not None else answer)
    progress.say(f"{len(tokens)} tokens in {took.forwards} runs of the model, {took.model_seconds + took.guard_seconds:.1f} s")
    return OK


def infill(arguments: argparse.Namespace) -> int:
    """``structgen infill``: the gaps of a text filled so that the whole is valid."""
    progress = Progress(arguments.quiet)
    text = _read_text("-") if arguments.file == "-" else _read_file(arguments.file)
    if arguments.grammar is None:  # a file ends in a line break, what it holds does not
        text = text.rstrip("\r\n")
    first, *others = text.split(arguments.gap) if arguments.gap else [text]
    with progress.step("reading the constraint"):
        constraint = _constraint(arguments)
    model, tokenizer = _load_model(arguments, _device(arguments.device), progress)
    if arguments.seed is not None:
        import torch

        torch.manual_seed(arguments.seed)
    from structgen.infilling import gap, infill

    size = gap(arguments.max_tokens)
    parts = [first, *(part for other in others for part in (size, other))]
    sampling = {"temperature": arguments.temperature} if arguments.temperature else {"do_sample": False}
    with progress.step("filling the gaps"):
        found = infill(model, tokenizer, parts, constraint, prompt=arguments.prompt, **sampling)
    _write(found.text, end="" if found.text.endswith("\n") else "\n")
    return OK


def check(arguments: argparse.Namespace) -> int:
    """``structgen check``: what of a schema is enforced."""
    import json

    from structgen.types import json_schema

    report = json_schema(_read_file(arguments.schema), **_lossy(arguments)).report
    _write(json.dumps(report.as_dict(), indent=2) if arguments.json else "".join(map(harmless, str(report))))
    return OK


def validate(arguments: argparse.Namespace) -> int:
    """``structgen validate``: whether texts are in the language of a schema, regex or type."""
    from structgen.compiler import compile
    from structgen.vocabulary import Vocabulary

    if arguments.schema is arguments.regex is arguments.grammar is arguments.type is None:
        arguments.schema, *arguments.files = arguments.files
        if not arguments.files:
            raise StructgenError("validate takes a schema and at least one text: structgen validate SCHEMA FILE...")
    constraint = _constraint(arguments)
    automaton = compile(constraint, Vocabulary.from_bytes([bytes([b]) for b in range(256)], eos_token_id=256))
    code = OK
    for name, line, text in _texts(arguments):
        start, end = _span(text, automaton, is_json=constraint.schema is not None)
        position, state = _read_by(automaton, text, start, end)
        if position < end or not automaton.is_accepting(state):
            tell(_rejection(name, line, text, position, end, automaton.explain(state)))
            code = INCOMPLETE
    return code


def sample(arguments: argparse.Namespace) -> int:
    """``structgen sample``: random texts of a schema, regex, grammar or type."""
    from structgen.enumeration import random_words

    bounds = {} if arguments.max_length is None else {"max_length": arguments.max_length}
    for word in random_words(_constraint(arguments).constraint, arguments.number, seed=arguments.seed, **bounds):
        _write(word.decode())
    return OK


def convert(arguments: argparse.Namespace) -> int:
    """``structgen convert``: a grammar in another notation."""
    from structgen.grammars.convert import write_grammar

    _write(write_grammar(_grammar(arguments.grammar, arguments.start).expr, arguments.to), end="")
    return OK


def grammars(arguments: argparse.Namespace) -> int:
    """``structgen grammars``: the grammars of the library and their standards."""
    from structgen.grammars import library

    width = max(map(len, library.names()))
    for name in library.names():
        _write(f"{name:{width}}  {library.summary(name)}")
    return OK


def warmup(arguments: argparse.Namespace) -> int:
    """``structgen warmup``: compile the kernels ahead of time."""
    from structgen.compiler import warmup as compile_kernels

    compiled = compile_kernels()
    Progress().say(f"{len(compiled)} kernels compiled" if compiled else "the kernels were compiled already")
    return OK


# reading the arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "structgen",
        description="JSON that is valid under a schema, from any language model.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"structgen {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run: Any, help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            run.__name__, help=help, description=help, epilog=EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        added.set_defaults(run=run)
        return added

    _add_generate_arguments(command(generate, "Extract JSON from a text: the result on stdout, progress on stderr."))
    _add_infill_arguments(command(infill, "Fill the gaps of a text so that the whole is what the constraint allows."))
    checked = command(check, "Compile a JSON Schema and report what is enforced.")
    checked.add_argument("schema", metavar="SCHEMA", help="file with a JSON Schema")
    checked.add_argument("--json", action="store_true", help="the report as JSON")
    _add_lossy_argument(checked)
    validated = command(validate, "Tell whether texts are accepted, and if not, where they go wrong.")
    _add_constraint_arguments(validated, required=False)
    _add_validate_arguments(validated)
    sampled = command(sample, "Print random texts that a constraint allows, one per line unless they have line breaks themselves.")
    _add_constraint_arguments(sampled)
    sampled.add_argument("-n", "--number", type=_positive, default=1, metavar="N", help="how many (default: 1)")
    sampled.add_argument("--seed", type=_seed, metavar="N", help="for reproducible texts")
    sampled.add_argument("--max-length", type=_positive, metavar="BYTES", help="draw uniformly from all texts of at most this length")
    converted = command(convert, "Write a grammar in another notation.")
    converted.add_argument("grammar", metavar="FILE", help=GRAMMAR)
    converted.add_argument("--to", required=True, metavar="NOTATION", help="gbnf, ebnf or lark")
    converted.add_argument("--start", metavar="RULE", help=START)
    command(grammars, "List the grammars of the library, which --grammar takes by name.")
    command(warmup, "Compile the kernels now, once per installation, rather than on first use.")
    return parser


def _add_constraint_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    which = parser.add_mutually_exclusive_group(required=required)
    which.add_argument("--schema", metavar="FILE", help="file with a JSON Schema")
    which.add_argument("--regex", metavar="REGEX", help="regular expression that the whole output matches")
    which.add_argument("--grammar", metavar="FILE", help=GRAMMAR)
    which.add_argument("--type", metavar="MODULE:NAME", help="a pydantic model, dataclass, TypedDict, Enum or function")
    parser.add_argument("--start", metavar="RULE", help=START)
    _add_lossy_argument(parser)


def _add_lossy_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lossy",
        metavar="KEYWORD",
        action="append",
        help="drop this keyword of the schema where it cannot be enforced, instead of an error (may be repeated)",
    )


def _lossy(arguments: argparse.Namespace) -> dict[str, Any]:
    return {} if arguments.lossy is None else {"lossy": arguments.lossy}


def _add_validate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="file with a text, or - for stdin; without --schema, --regex, --grammar and --type the first FILE is the schema. "
        "White space around JSON is ignored, and so is a line break at the end of other texts unless it is wanted",
    )
    parser.add_argument("--jsonl", action="store_true", help="every line is a text of its own; empty lines are ignored")
    parser.add_argument(
        "--property-order", metavar="ORDER", help='order of the properties of an object: "declared" (default), as when generating, or "any"'
    )


def _add_generate_arguments(parser: argparse.ArgumentParser) -> None:
    _add_constraint_arguments(parser)
    parser.add_argument("text", metavar="TEXT", help="what to extract from, or - for stdin")
    parser.add_argument("--model", metavar="NAME_OR_PATH", help="any Hugging Face causal LM (default: the embedded model, offline)")
    parser.add_argument("--device", help="where the model runs (default: cuda if there is one, else cpu)")
    parser.add_argument("--raw", action="store_true", help="TEXT is the whole prompt: add no instruction and no chat template")
    parser.add_argument("--stream", action="store_true", help="print the output as it is generated")
    parser.add_argument("--diffusion", action="store_true", help="by a masked diffusion model (default: the embedded one)")
    parser.add_argument(
        "--max-new-tokens", type=_positive, metavar="N", help="give up after N tokens (default: 512; with --diffusion as many masks: 128)"
    )
    parser.add_argument("--finish", action="store_true", help="allow only what can still be finished within these tokens")
    parser.add_argument(
        "--temperature", type=_temperature, default=0.0, metavar="T", help="sample with this temperature (default: 0, take the likeliest)"
    )
    parser.add_argument("--seed", type=_seed, metavar="N", help="for reproducible sampling")
    parser.add_argument("--indent", type=_indent, metavar="N", help="spaces per level (default: all on one line)")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _add_infill_arguments(parser: argparse.ArgumentParser) -> None:
    _add_constraint_arguments(parser)
    parser.add_argument("file", metavar="FILE", help="file with the text, or - for stdin")
    parser.set_defaults(stream=False, indent=None, diffusion=False)
    parser.add_argument("--gap", default="<GAP>", metavar="MARKER", help="what stands in the text where a gap is (default: <GAP>)")
    parser.add_argument("--max-tokens", type=_positive, metavar="N", help="of each gap (default: any number, 512 at most)")
    parser.add_argument("--prompt", default="", metavar="TEXT", help="what the model reads before the text")
    parser.add_argument("--model", metavar="NAME_OR_PATH", help="any Hugging Face causal LM (default: the embedded model, offline)")
    parser.add_argument("--device", help="where the model runs (default: cuda if there is one, else cpu)")
    parser.add_argument("--temperature", type=_temperature, default=0.0, metavar="T", help="sample with this temperature (default: 0)")
    parser.add_argument("--seed", type=_seed, metavar="N", help="for reproducible sampling")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _within(convert: Callable[[str], Any], least: float, most: float, wanted: str) -> Callable[[str], Any]:
    """Reads an argument that is a number between two others."""

    def read(text: str) -> Any:
        try:
            value = convert(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be {wanted}, found {text!r:.80}")
        return value

    return read


_positive = _within(int, 1, math.inf, "a number of at least 1")
_temperature = _within(float, 0, sys.float_info.max, "a finite number of at least 0")
_seed = _within(int, 0, 2**64 - 1, "a number from 0 to 2**64 - 1")
_indent = _within(int, 0, MAX_INDENT, f"a number from 0 to {MAX_INDENT}")


def _constraint(arguments: argparse.Namespace) -> TypedConstraint:
    from structgen.grammars.constraint import regex
    from structgen.types import as_constraint, from_type, json_schema

    options = _options(arguments)
    if arguments.start is not None and arguments.grammar is None:
        raise StructgenError("--start is for grammars: give one with --grammar")
    if arguments.regex is not None or arguments.grammar is not None:
        for option in ("property_order", "lossy"):
            if option in options:
                raise StructgenError(f"--{option.replace('_', '-')} is for JSON: give a schema or a type")
        return as_constraint(regex(arguments.regex) if arguments.grammar is None else _grammar(arguments.grammar, arguments.start))
    if arguments.schema is not None:
        return json_schema(_read_file(arguments.schema), **options)
    return from_type(_named_type(arguments.type), **options)


def _in_library(name: str) -> bool:
    """Whether this names a grammar of the library rather than a file."""
    return not Path(name).suffix and not Path(name).is_file()


def _grammar(path: str, start: str | None) -> Constraint:
    """The grammar of the library, or in a file, whose suffix says what notation it is in."""
    from structgen.grammars.constraint import ebnf, gbnf, lark
    from structgen.grammars.library import grammar

    if _in_library(path):
        return grammar(path, start)
    readers: dict[str, Callable[..., Constraint]] = {".gbnf": gbnf, ".ebnf": ebnf, ".lark": lark}
    suffix = Path(path).suffix
    if suffix not in readers:
        raise StructgenError(f"{path}: the name of a grammar file ends in {', '.join(readers)}, which says its notation")
    return readers[suffix](_read_file(path), **({} if start is None else {"start": start}))


def _grammar_text(path: str) -> str:
    from structgen.grammars.library import source

    return source(path) if _in_library(path) else _read_file(path)


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """White space: any when reading; when writing what is wanted, what the embedded model has learnt, or what the model likes."""
    if arguments.run is infill:
        return _lossy(arguments)
    if arguments.run is sample:
        return {"whitespace": "one-space", **_lossy(arguments)}
    if arguments.run is validate:
        lifted = ("string_length", "max_integer_digits", "max_fraction_digits", "max_exponent", "max_padding_zeros")
        order = {} if arguments.property_order is None else {"property_order": arguments.property_order}
        return {"whitespace": "any", "limits": dict.fromkeys(lifted), **order, **_lossy(arguments)}
    if arguments.stream and arguments.indent is not None:
        return {"whitespace": {"indent": arguments.indent}, **_lossy(arguments)}
    free = arguments.diffusion and arguments.type is None  # the masks are a limit already
    limits = {"limits": {"string_length": None}} if free else {}
    return {**({"whitespace": "one-space"} if arguments.model is None else {}), **limits, **_lossy(arguments)}


def _named_type(name: str) -> Any:
    import importlib

    module, _, attribute = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        raise StructgenError(f"--type {name} names no type (it is written MODULE:NAME): {type(error).__name__}: {error}") from error


def _read_text(text: str) -> str:
    return _decoded(_stdin_bytes() if text == "-" else text.encode("utf-8", "surrogateescape"), "TEXT")


def _read_file(path: str) -> str:
    return _decoded(_file_bytes(path), path)


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StructgenError(f"{name} is not UTF-8 text: {error}") from error


def _file_bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise StructgenError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _stdin_bytes() -> bytes:
    if sys.stdin is None:
        raise StructgenError("cannot read stdin: it is closed")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise StructgenError(f"cannot read stdin: {error.strerror}") from error


# the texts to validate


WHITE_SPACE = b" \t\r\n"


def _texts(arguments: argparse.Namespace) -> Iterator[tuple[str, int, bytes]]:
    """Every text with the name of its file and the number of its first line."""
    for file in arguments.files:
        name, data = ("stdin", _stdin_bytes()) if file == "-" else (file, _file_bytes(file))
        if arguments.jsonl:
            yield from ((name, number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip(WHITE_SPACE))
        else:
            yield name, 1, data


def _span(text: bytes, automaton: TokenAutomaton, is_json: bool) -> tuple[int, int]:
    """Where the text proper begins and ends: not in white space around JSON, nor at a line break that need not be there."""
    if is_json:
        return len(text) - len(text.lstrip(WHITE_SPACE)), len(text.rstrip(WHITE_SPACE))
    return 0, len(text) if automaton.accepts(text) else len(text.removesuffix(b"\n").removesuffix(b"\r"))


def _read_by(automaton: TokenAutomaton, text: bytes, start: int, end: int) -> tuple[int, int]:
    """How far the automaton reads the text, and the state there."""
    state = automaton.initial
    for position in range(start, end):
        following = automaton.advance(state, text[position])
        if following == automaton.dead:
            return position, state
        state = following
    return end, state


def _rejection(name: str, first_line: int, text: bytes, position: int, end: int, situation: Explanation) -> str:
    """Where a text goes wrong, what is there, and what would be allowed."""
    position = len(text[:position].decode(errors="ignore").encode())  # back to the beginning of the character
    found = repr(text[position:end].decode(errors="replace")[:20]) if position < end else "the end"
    line = first_line + text.count(b"\n", 0, position)
    column = len(text[text.rfind(b"\n", 0, position) + 1 : position].decode()) + 1
    wanted = ["the end"] if situation.may_end else []
    return f"{name}: rejected at line {line}, column {column}: found {found}, expected {' or '.join(wanted + _shown(situation.next_bytes))}"


def _shown(allowed: bytes) -> list[str]:
    """Bytes for people, runs of them as ranges, and JSON's white space by name."""
    white = set(WHITE_SPACE) if set(WHITE_SPACE) <= set(allowed) else set()
    shown: list[str] = []
    for _, pairs in groupby(enumerate(sorted({*allowed} - white)), lambda pair: (pair[1] - pair[0], pair[1] < 128)):
        run = [repr(chr(byte)) if byte < 128 else f"byte {byte:#x}" for _, byte in pairs]
        shown += run if len(run) < 3 else [f"{run[0]} to {run[-1]}"]
    return [*shown, "white space"] if white else shown


# the model


class _Failure(Exception):
    """What ends the command with an exit code of its own."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


def _device(name: str | None) -> str:
    """Where the model shall run, which must be there."""
    import torch

    try:
        return str(torch.empty(0, device=name or ("cuda" if torch.cuda.is_available() else "cpu")).device)
    except Exception as error:
        raise StructgenError(f"--device {name} cannot be used: {str(error).splitlines()[0]}") from error


def _load_model(arguments: argparse.Namespace, device: str, progress: Progress) -> tuple[Any, Any]:
    if arguments.model is None:
        name = _embedded_model()
        os.environ["HF_HUB_OFFLINE"] = "1"
    else:
        name = arguments.model
    try:
        with progress.step(f"loading {arguments.model or 'the embedded model'}"), contextlib.redirect_stdout(sys.stderr):
            if arguments.diffusion:
                return _load_diffusion(arguments.model, device)
            from transformers import AutoModelForCausalLM, AutoTokenizer
            from transformers.utils import logging

            if arguments.quiet:
                logging.disable_progress_bar()  # type: ignore[no-untyped-call]
            tokenizer = AutoTokenizer.from_pretrained(name)
            model: Any = AutoModelForCausalLM.from_pretrained(name, torch_dtype="auto")
            return model.to(device).eval(), tokenizer
    except Exception as error:  # whatever a model repository can do wrong
        raise _Failure(NO_MODEL, f"cannot load {name}: {type(error).__name__}: {error}") from error


def _load_diffusion(name: str | None, device: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

    if name is None:
        from structgen.models.tiny_diffusion_model import TINY_DIFFUSION_PATH, TinyDiffusion

        return TinyDiffusion.load().to(device), AutoTokenizer.from_pretrained(TINY_DIFFUSION_PATH)
    tokenizer = AutoTokenizer.from_pretrained(name)
    try:
        model: Any = AutoModelForMaskedLM.from_pretrained(name, torch_dtype="auto")
    except ValueError:  # of a type that transformers does not list there
        model = AutoModel.from_pretrained(name, torch_dtype="auto")
    return model.to(device).eval(), tokenizer


def _embedded_model() -> str:
    from structgen.models.tiny_prompt import TINY_MODEL_PATH

    if not (TINY_MODEL_PATH / "config.json").exists():
        raise _Failure(NO_MODEL, f"the embedded model is missing from {TINY_MODEL_PATH}; name another one with --model")
    return str(TINY_MODEL_PATH)


def _prompt(arguments: argparse.Namespace, text: str, constraint: TypedConstraint, tokenizer: Any) -> Any:
    if arguments.raw:
        return text
    if arguments.model is None:
        from structgen.models.tiny_prompt import prompt

        return prompt(text, constraint.schema if constraint.schema is not None else True)
    if constraint.schema is None:
        by_regex = arguments.grammar is None
        what = f"the regular expression {arguments.regex}" if by_regex else f"this grammar:\n{_grammar_text(arguments.grammar)}"
        instruction = f"{text}\n\nAnswer with nothing but a text that matches {what}\n"
    else:
        import json

        instruction = INSTRUCTION.format(text=text, schema=json.dumps(constraint.schema, ensure_ascii=False, default=str))
    chat = getattr(tokenizer, "chat_template", None) is not None
    return [{"role": "user", "content": instruction}] if chat else instruction + "\n"


# writing the result


def _print_answer(stream: Any, constraint: TypedConstraint, arguments: argparse.Namespace) -> None:
    """Print the answer, as it comes or all at once; an incomplete one is printed only as it comes."""
    from structgen.jsontext import relayout

    for piece in _pieces(stream):
        if arguments.stream:
            _write(piece, end="")
    if arguments.stream:
        _write("")
    _ = stream.result
    if not arguments.stream:
        _write(relayout(stream.text, arguments.indent) if constraint.schema is not None else stream.text)


def _pieces(stream: Any) -> Iterator[str]:
    try:
        yield from stream
    except StructgenError:
        raise
    except Exception as error:
        raise _Failure(FAILED, f"the model failed: {type(error).__name__}: {error}") from error


def _write(text: str, end: str = "\n") -> None:
    """Results, to stdout."""
    if sys.stdout is None:
        raise _Failure(UNEXPECTED, "cannot write the output: stdout is closed")
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        raise
    except (OSError, UnicodeError) as error:
        _drop_stdout()
        raise _Failure(UNEXPECTED, f"cannot write the output: {error}") from error


def _drop_stdout() -> None:
    """Nobody gets what is still to be written, which would fail again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(code: int, error: Any) -> int:
    tell(f"structgen: {error}")
    return code


if __name__ == "__main__":
    sys.exit(main())
