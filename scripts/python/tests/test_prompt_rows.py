"""Prompt rows in Python: the rules of docs/rows.md, and that the program has the same."""

import json

import pytest
from completions_server import CompletionsServer
from conftest import run

from foresight_kv.errors import ForesightError
from foresight_kv.prompt_rows import read_prompt_rows
from foresight_kv.traces import main

USER, ASSISTANT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}], "content": None}


def read(tmp_path, *rows):
    file = tmp_path / "p.jsonl"
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return list(read_prompt_rows(file))


def test_prompts_of_all_kinds(tmp_path):
    rows = read(
        tmp_path, {"prompt": "p", "id": 1}, "  \t", {"Question": "q", "Answer": 7},
        {"messages": [USER, ASSISTANT, USER, ASSISTANT]},
        {"prompt": [USER], "problem": "q", "answer": None}, {"messages": [USER, CALL, USER | {"name": "n"}]},
    )  # fmt: skip
    assert [row.source for row in rows] == ["p.jsonl:1", "p.jsonl:3", "p.jsonl:4", "p.jsonl:5", "p.jsonl:6"]
    assert [row.prompt for row in rows] == ["p", "Question: q\nAnswer:", "", "", ""]
    assert [row.messages for row in rows] == [[], [], [USER, ASSISTANT, USER], [USER], [USER, CALL, USER | {"name": "n"}]]
    assert [row.answer for row in rows] == ["", "7", "", "", ""]
    assert rows[0].columns == {"id": 1} and rows[1].columns == {"Question": "q", "Answer": 7}


def test_what_the_template_is_told_and_answers_without_marks(tmp_path):
    (row,) = read(tmp_path, {"prompt": "p", "tools": '[{"name": "f"}]', "documents": [], "answer": "a <<1+1=2>>b <<\n>>",
                             "chat_template_kwargs": {"enable_thinking": False}})  # fmt: skip
    assert row.variables == {"tools": [{"name": "f"}], "enable_thinking": False} and row.answer == "a b <<\n>>"
    assert row.columns == {"answer": "a <<1+1=2>>b <<\n>>"}


def test_what_a_data_set_packed_into_strings_is_unpacked(tmp_path):
    call = CALL | {"tool_calls": json.dumps(CALL["tool_calls"])}
    (row,) = read(tmp_path, {"messages": [USER, call, USER], "tools": ['{"name": "f"}'],
                             "chat_template_kwargs": '{"enable_thinking": false}'})  # fmt: skip
    assert row.messages == [USER, CALL, USER]
    assert row.variables == {"tools": [{"name": "f"}], "enable_thinking": False}


def test_a_problem_is_found_in_the_parts_of_a_message(tmp_path):
    parts = [{"type": "text", "text": "Solve. "}, {"type": "text", "text": "2+2?"}]
    (row,) = read(tmp_path, {"problem": "2+2?", "messages": [{"role": "user", "content": parts}]})
    assert row.messages == [{"role": "user", "content": parts}]


def test_bytes_around_the_rows(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b'\xef\xbb\xbf{"prompt": "a", "x": NaN, "y": -Infinity}\r\n{"prompt": "b"}')
    rows = list(read_prompt_rows(tmp_path / "p.jsonl"))
    assert [row.prompt for row in rows] == ["a", "b"] and rows[0].columns == {"x": None, "y": None}


@pytest.mark.parametrize(
    "row, said",
    [
        ({"a": 1}, 'no known keys; a prompt row has "prompt"'),
        ({"prompt": ""}, '"prompt" is empty'),
        ({"prompt": 3}, '"prompt": expected a string, got number'),
        ({"prompt": "p", "messages": [USER]}, 'has both "messages" and "prompt"'),
        ({"messages": []}, '"messages": expected a list of {"role", "content"}'),
        ({"messages": "p"}, '"messages": expected a list of {"role", "content"}'),
        ({"messages": [ASSISTANT]}, '"messages" hold only turns of the assistant'),
        ({"messages": [USER], "problem": "other"}, '"messages" do not hold the text of "problem"'),
        ({"messages": [{"role": "user"}]}, '"messages"[0]: expected an object with "role" and "content"'),
        ({"messages": [USER, {"role": 1, "content": "x"}]}, '"messages"[1].role: expected a string, got number'),
        ({"messages": [{"role": "user", "content": None}]}, '"messages"[0].content: expected a string, got null'),
        ({"prompt": "p", "answer": []}, '"answer": expected a string, got array'),
        ({"prompt": "p", "tools": {}}, '"tools": expected a list, or one as JSON in a string'),
        ({"prompt": "p", "tools": "f"}, '"tools": expected a list, or one as JSON in a string'),
        ({"prompt": "p", "chat_template_kwargs": []}, '"chat_template_kwargs": expected an object, or one as JSON'),
        ({"prompt": "p", "tools": ["f"]}, '"tools": expected a list of objects'),
        ({"messages": [CALL | {"tool_calls": "f"}]}, '"messages"[0].tool_calls: expected a list of objects'),
        ({"prompt": [USER, ASSISTANT]}, '"prompt" ends with a message of the assistant'),
        ('["p"]', "expected a JSON object, got array; a JSON list is not JSONL"),
        ("3", "expected a JSON object, got number"),
        ('{"prompt": ', "not JSON: "),
        ('{"prompt": "a", "prompt": "b"}', "an object names a key twice"),
        ('{"prompt": "\\ud800"}', "not UTF-8"),
        ('{"prompt": "p", "x": ' + "[" * 40 + "]" * 40 + "}", "nested deeper than 32"),
        ("[" * 100000, "not JSON"),
    ],
)  # fmt: skip
def test_faults_name_file_and_line(row, said, tmp_path):
    with pytest.raises(ForesightError) as caught:
        read(tmp_path, {"prompt": "fine"}, row)
    assert f"{tmp_path}/p.jsonl:2: " in str(caught.value) and said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data, said",
    [(b"", "holds no rows"), (b"\n \n", "holds no rows"), (b"\x1f\x8b\x08rest", "is compressed by gzip; write its prompts as JSONL"),
     (b"PAR1rest", "is a Parquet file; write its prompts as JSONL: foresight-rows"), (b'{"prompt": "\xff"}', "p.jsonl:1: not UTF-8")],
)  # fmt: skip
def test_files_of_other_kinds_are_named(data, said, tmp_path):
    (tmp_path / "p.jsonl").write_bytes(data)
    with pytest.raises(ForesightError) as caught:
        list(read_prompt_rows(tmp_path / "p.jsonl"))
    assert said in str(caught.value)
    with pytest.raises(ForesightError, match="none: cannot be read: No such file or directory; check the path"):
        list(read_prompt_rows(tmp_path / "none"))


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("foresight_kv.prompt_rows.MOST_BYTES", 1 << 20)
    with pytest.raises(ForesightError, match="p.jsonl:2: the line is longer than 1 MiB"):
        read(tmp_path, {"prompt": "p"}, {"prompt": "x" * (1 << 20)})


TEXTS = [
    {"prompt": "Plain, with ünïcode and 1234."},
    {"question": "Half of 48?", "answer": "It is <<48/2=24>>24.\n#### 24", "source": "mine", "tokens": 3},
    {"Problem": "Which?", "Answer": 204, "level": 0.5},
    {"prompt": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello"}], "given": {"a": 1}},
    {"problem": "Which?", "messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "that"}], "x": None},
    {"messages": [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))], "tools": []},
]


@pytest.mark.smollm2
def test_prompts_are_rendered_as_the_program_renders_them(tmp_path, foresight, smollm2_folder):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps(row) + "\n" for row in TEXTS))
    run(foresight, "traces", "--config", "configs/quickstart.yaml", f"model.path={smollm2_folder}", f"output={tmp_path}/run",
        f"traces.prompts=[{prompts}]", "traces.max_new_tokens=1", "runtime.threads=2")  # fmt: skip
    with CompletionsServer(first=100, last=40000) as server:
        line = [str(prompts), "--model", str(smollm2_folder), "--out", str(tmp_path / "o.jsonl"), "--endpoint", server.url]
        assert main([*line, "--max-new-tokens", "1"]) == 0
    files = [(tmp_path / name).read_text(encoding="utf-8").splitlines() for name in ("run/traces.jsonl", "o.jsonl")]
    for theirs, ours in zip(*(map(json.loads, lines) for lines in files), strict=True):
        assert ours.pop("sampling")["sample"] == 0
        sampled = (ours.pop("tokens"), theirs.pop("tokens"))
        assert sampled[0][:-1] == sampled[1][:-1] and len(sampled[0]) == theirs["prompt_tokens"] + 1
        assert list(ours) == list(theirs)
        for name in ("completion", "finished"):
            ours.pop(name), theirs.pop(name)
        assert ours == theirs
