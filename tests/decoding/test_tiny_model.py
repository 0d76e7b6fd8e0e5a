"""The embedded model: its files, its size, its tokenizer and prompt, and the split of its training data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from structgen.models.tiny_prompt import TINY_DRAFT_PATH, TINY_MODEL_PATH, outline, prompt

EXAMPLES = Path(__file__).parents[2] / "examples"
ADA = "Ada Lovelace, born 10 December 1815 in London, was a mathematician and writer. She wrote Notes on the Analytical Engine."
TEXTS = [ADA, '{"name": "José Müller", "total": -1.5e3}', "a  b\n\t\u00a0c", "東京 🙂", "€1,250.00 O'Neill—x_y_z", ""]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(TINY_MODEL_PATH)


@pytest.fixture(scope="module")
def model() -> Any:
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(TINY_MODEL_PATH, dtype=torch.float32).eval()


def test_files_and_size() -> None:
    names = {path.name for path in TINY_MODEL_PATH.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert (TINY_MODEL_PATH / "model.safetensors").stat().st_size <= 12_000_000


def test_the_model_that_drafts_is_much_smaller_and_has_the_same_tokens(model: Any) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    draft = AutoModelForCausalLM.from_pretrained(TINY_DRAFT_PATH, dtype=torch.float32)
    assert draft.config.vocab_size == model.config.vocab_size and draft.config.eos_token_id == model.config.eos_token_id
    assert 3 * sum(p.numel() for p in draft.parameters()) < sum(p.numel() for p in model.parameters())


def test_tokenizer_round_trip(tokenizer: Any) -> None:
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert len({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}) == 3
    assert tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id


def test_vocabularies_agree(model: Any, tokenizer: Any) -> None:
    assert 4000 <= len(tokenizer) <= model.config.vocab_size <= 8192
    assert model.config.eos_token_id == tokenizer.eos_token_id


def test_a_name_has_the_same_tokens_everywhere(tokenizer: Any) -> None:
    name = tokenizer.encode("Ada Lovelace", add_special_tokens=False)
    for text in ("Ada Lovelace, born", 'by "Ada Lovelace".', '"name": "Ada Lovelace", "x"', "of Ada Lovelace"):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert any(ids[i : i + len(name)] == name for i in range(len(ids))), text


def test_extracts_the_example_of_the_readme(model: Any, tokenizer: Any) -> None:
    """Alone, without any constraint: what the constraint adds is tested elsewhere."""
    torch = pytest.importorskip("torch")
    schema = json.loads((EXAMPLES / "person.schema.json").read_text())
    inputs = tokenizer(prompt(ADA, schema), return_tensors="pt")
    with torch.inference_mode():
        ids = model.generate(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], do_sample=False, max_new_tokens=200)
    person = json.loads(tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    assert person["name"] == "Ada Lovelace"
    assert person["birth"] == {"date": "1815-12-10", "city": "London", "country": None}
    assert person["occupations"] == ["mathematician", "writer"]
    assert person["works"] == ["Notes on the Analytical Engine"]


def test_outline() -> None:
    schema = {
        "$defs": {
            "day": {"type": "string", "format": "date"},
            "node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}},
        },
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "born": {"$ref": "#/$defs/day"},
            "kind": {"enum": ["a", "b", None]},
            "size": {"anyOf": [{"type": "null"}, {"type": "number"}]},
            "sizes": {"type": "array", "items": {"type": "integer"}},
            "parts": {
                "type": ["array", "null"],
                "items": {"type": "object", "properties": {"id": {"type": "integer"}, "ok": {"type": "boolean"}}},
            },
            "many": {"enum": [str(i) for i in range(30)]},
        },
    }
    assert outline(schema) == "name,born:date,kind:a/b?,size:num?,sizes[int],parts[{id:int,ok:bool}]?,many"
    assert (
        outline({"allOf": [{"properties": {"a": {"type": "string"}}}, {"$ref": "#/$defs/x"}], "$defs": {"x": {"properties": {"b": True}}}})
        == "a,b:any"
    )


@pytest.mark.parametrize(
    "schema",
    [
        True, False, {}, {"type": "integer"}, {"type": ["null"]}, {"enum": [1, None, {"a": 1}]}, {"const": None}, {"$ref": "#"},
        {"$ref": "http://x/y"}, {"$ref": 3},
        {"anyOf": []}, {"anyOf": [True, {"type": "null"}]}, {"allOf": [True, {"$ref": "#"}]}, {"allOf": 3},
        {"properties": {"a": {"$ref": "#"}}},
        {"items": [{}, True]}, {"prefixItems": [{"type": "string"}]}, {"properties": []},
        {"type": 3}, {"$ref": "#/a/0", "a": [{"type": "string"}]}, {"format": []},
    ],
)  # fmt: skip
def test_any_schema_has_an_outline(schema: Any) -> None:
    assert prompt("x\n y", schema).endswith("\nx y\n")


def test_references_do_not_multiply() -> None:
    node = {"type": "object", "properties": {f"p{i}": {"$ref": "#/$defs/node"} for i in range(40)}}
    assert len(outline({"$defs": {"node": node}, **node})) < 30_000


def _train_tiny() -> Any:
    pytest.importorskip("faker", reason="Faker makes the training data; it is not needed to use the model")
    import examples.train_tiny.families as families

    return families


def test_schema_files_are_those_of_the_training_data() -> None:
    families = _train_tiny()
    for family in families.FAMILIES:
        assert families.schema_path(family).read_text(encoding="utf-8") == families.schema_text(family)


def test_examples_are_valid_under_their_schemas() -> None:
    import random

    families = _train_tiny()
    jsonschema = pytest.importorskip("jsonschema")
    from examples.train_tiny.records import dumps, sample
    from examples.train_tiny.sources import Draw

    for seed, held_out in ((1, False), (2, True)):
        draw = Draw(random.Random(seed), held_out)
        for family in families.FAMILIES:
            for free in (False, True) * 10:
                example = sample(family, draw, free=free)
                jsonschema.validate(json.loads(dumps(example.record)), example.schema, format_checker=jsonschema.FormatChecker())


def test_held_out_names_and_templates_are_disjoint() -> None:
    families = _train_tiny()
    from dataclasses import fields

    from examples.train_tiny.sources import Pools, is_held_out, pools

    for pool in fields(Pools):
        seen, unseen = set(getattr(pools(False), pool.name)), set(getattr(pools(True), pool.name))
        assert seen and unseen and not seen & unseen
        assert all(map(is_held_out, unseen)) and not any(map(is_held_out, seen))
    for family in families.FAMILIES:
        assert not set(family.openings + family.further) & set(family.held_out_openings + family.held_out_further)
