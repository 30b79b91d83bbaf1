"""foresight-rows: what the layouts of known data sets give, its output files, and that the program takes them as they are."""

import json
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, run, tiny_overrides

from foresight_kv.errors import ForesightError
from foresight_kv.row_tokens import RowRenderer
from foresight_kv.rows import main, parse, write_rows

OPENR1 = {
    "problem": "How many?", "solution": "Count.", "answer": "5", "source": "olympiads", "uuid": "u",
    "generations": ["<think>\nwrong\n</think>\n\n4", "<think>\nright\n</think>\n\n\\boxed{5}", "cut"],
    "correctness_math_verify": [False, True, True], "correctness_llama": None, "is_reasoning_complete": [True, True, False],
    "messages": [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "another"}],
}  # fmt: skip
THOUGHT = {"system": "Think.", "conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": "a"}]}
METADATA = {"problem": "q", "deepseek_reasoning": " why\n", "deepseek_solution": "\nthus", "ground_truth_solution": "g"}
GSM8K = {"question": "Half of 48?", "answer": "It is <<48/2=24>>24.\n#### 24"}
AIME24 = {"ID": "2024-I-1", "Problem": "p", "Solution": "s", "Answer": 204}
AIME25 = {"question": "p", "answer": "70"}
AIMO = {"id": 3, "problem": "p", "answer": "70"}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def written(tmp_path, rows, *options):
    """The rows that the command writes of a Parquet file of `rows`."""
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    write_rows(parse([str(tmp_path / "in.parquet"), "--out", str(tmp_path / "out.jsonl"), *options]), show=lambda text: None)
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "row, options, expected",
    [
        (OPENR1, [], {"messages": [user("How many?"), assistant(OPENR1["generations"][1])], "answer": "5"}),
        (OPENR1, ["--prompts"], {"messages": [user("How many?")], "answer": "5"}),
        (OPENR1 | {"correctness_math_verify": [False] * 3}, ["--prompts"], {"messages": [user("How many?")], "answer": "5"}),
        (OPENR1, ["--prompt", "problem", "--completion", "solution", "--answer", "answer"],
         {"prompt": "How many?", "completion": "Count.", "answer": "5"}),
        (THOUGHT, [], {"messages": [{"role": "system", "content": "Think."}, user("q"), assistant("a")]}),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, [],
         {"messages": [user("q"), assistant("a")]}),
        (METADATA, [], {"messages": [user("q"), assistant("<think>\nwhy\n</think>\n\nthus")]}),
        (GSM8K, [], {"prompt": "Question: Half of 48?\nAnswer:", "completion": " It is 24.\n#### 24\n\n", "answer": "24"}),
        (GSM8K, ["--chat"], {"messages": [user("Half of 48?"), assistant("It is 24.\n#### 24")], "answer": "24"}),
        (GSM8K, ["--chat", "--prompts"], {"messages": [user("Half of 48?")], "answer": "24"}),
        (AIME24, [], {"prompt": "Question: p\nAnswer:", "completion": " s\n\n", "answer": "204"}),
        (AIME25, ["--prompts"], {"prompt": "Question: p\nAnswer:", "answer": "70"}),
        (AIMO, ["--prompts", "--chat"], {"messages": [user("p")], "answer": "70"}),
        ({"text": "all of it"}, [], {"text": "all of it"}),
        ({"prompt": "p", "completion": "c"}, [], {"prompt": "p", "completion": "c"}),
        ({"prompt": [user("p")], "completion": [assistant("c")]}, [], {"messages": [user("p"), assistant("c")]}),
        ({"messages": [user("p"), assistant("c")]}, [], {"messages": [user("p"), assistant("c")]}),
        ({"ask": "p", "reply": "c", "text": "t"}, ["--prompt", "ask", "--completion", "reply", "--chat"],
         {"messages": [user("p"), assistant("c")]}),
    ],
)  # fmt: skip
def test_a_layout_gives_these_rows(row, options, expected, tmp_path):
    assert written(tmp_path, [row], *options) == [expected | {"source": "in.parquet:1"}]


def test_rows_without_a_whole_and_right_generation_are_left_out_and_counted(tmp_path, capsys):
    wrong = OPENR1 | {"correctness_math_verify": [False, False, True]}
    judged = wrong | {"correctness_llama": [True, False, False]}
    pq.write_table(pa.Table.from_pylist([wrong, judged, OPENR1]), tmp_path / "in.parquet")
    assert main([str(tmp_path / "in.parquet"), "--out", str(tmp_path / "out.jsonl")]) == 0
    shown = capsys.readouterr().out
    assert "layout: openr1-math" in shown and "--- in.parquet:2" in shown and "user: How many?" in shown
    assert "wrote 2 rows" in shown and "left out 1: no generation is whole and marked as correct" in shown


@pytest.mark.parametrize(
    "rows, options, expected",
    [
        ([{"text": "a"}, {"text": None}], [], "in.parquet: row 2, column 'text': expected a text, got nothing"),
        ([{"messages": [user("q"), {"role": None, "content": "a"}]}], [],
         "row 1, column 'messages': message 2: expected role and content"),
        ([OPENR1 | {"is_reasoning_complete": [True]}], [],
         "row 1, column 'is_reasoning_complete': expected a mark for each of the 3"),
        ([{"a": "x", "b": 1}], [], "no known layout has the columns a, b; name yours: --prompt COLUMN"),
        ([AIMO], [], "the layout aime-problems holds prompts alone; write them with --prompts"),
        ([{"text": "a"}], ["--text", "body"], "row 1, column 'body': expected a text, got nothing"),
        ([{"text": "a"}], ["--layout", "aimee"], "--layout: there is no layout 'aimee'; expected one of openr1-math"),
        ([{"text": "  "}], [], "in.parquet: gives no rows; left out 1: there is no answer to learn from"),
        ([], ["--layout", "text"], "in.parquet: gives no rows"),
    ],
)  # fmt: skip
def test_faults_name_file_row_and_column(rows, options, expected, tmp_path):
    with pytest.raises(ForesightError) as caught:
        written(tmp_path, rows, *options)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_faulty_rows_are_left_out_when_asked(tmp_path):
    rows = [{"text": "a"}, {"text": None}, {"text": "b"}]
    assert [row["text"] for row in written(tmp_path, rows, "--skip-faulty")] == ["a", "b"]
    (tmp_path / "half.jsonl").write_text('{"text": "\\ud800"}\n{"text": "c"}\n')
    with pytest.raises(ForesightError, match="row 1, column 'text': holds half of a surrogate pair"):
        write_rows(parse([str(tmp_path / "half.jsonl"), "--out", str(tmp_path / "o")]), show=str)
    assert write_rows(parse([str(tmp_path / "half.jsonl"), "--skip-faulty", "--out", str(tmp_path / "o")]), show=str) == 1


def test_the_output_is_whole_or_as_it_was(tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    out.write_text("before\n")
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n' * 50 + '{"text": 7.5}\n{"text": []}\n')
    assert main([str(tmp_path / "in.jsonl"), "--out", str(out)]) == 1
    assert "error: " in capsys.readouterr().err
    assert out.read_text() == "before\n" and not list(tmp_path.glob("*.partial"))
    assert main([str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "in.jsonl")]) == 1
    assert "is read; choose another file" in capsys.readouterr().err
    assert main([str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "none" / "out.jsonl"), "--most", "3"]) == 1
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
    assert main([str(tmp_path / "in.jsonl"), "--show"]) == 0
    assert main([str(tmp_path / "in.jsonl"), "--out", str(out), "--most", "3"]) == 0
    assert len(out.read_text().splitlines()) == 3


@pytest.mark.parametrize("line", [["x"], ["x", "--out", "o", "--show"], ["x", "--show", "--completion", "c"],
                                  ["x", "--show", "--answer", "a"], ["x", "--show", "--text", "t", "--layout", "text"],
                                  ["x", "--show", "--prompts", "--model", "m"], ["x", "--show", "--most", "0"]])  # fmt: skip
def test_a_command_line_that_means_nothing_is_refused(line, capsys):
    with pytest.raises(SystemExit) as ended:
        main(line)
    assert ended.value.code == 2 and "error: " in capsys.readouterr().err


@pytest.mark.smollm2
def test_tokens_are_those_of_transformers(tmp_path, smollm2_folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2_folder)
    (row,) = written(tmp_path, [OPENR1], "--model", str(smollm2_folder))
    asked = [user("How many?")]
    conversation = [*asked, assistant(OPENR1["generations"][1])]
    assert row["tokens"] == tokenizer.apply_chat_template(conversation, return_dict=False)
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    assert row["tokens"][: row["prompt_tokens"]] == prompt
    assert tokenizer.decode(row["tokens"][row["prompt_tokens"] :]) == row["completion"]


def deepseek_folder(tmp_path):
    """A tokenizer like DeepSeek-R1's, whose template takes the reasoning out of an answer."""
    sys.path.insert(0, str(ROOT / "tests" / "reference" / "tokenizer"))
    from chat_family_templates import FAMILIES

    folder = shutil.copytree(ROOT / "tests" / "reference" / "tokenizer" / "deepseek_qwen_like", tmp_path / "deepseek")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"chat_template": FAMILIES["DeepSeek-R1"], "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def test_reasoning_that_a_template_takes_out_stays(tmp_path):
    folder = deepseek_folder(tmp_path)
    (row,) = written(tmp_path, [OPENR1], "--model", str(folder))
    assert row["completion"].endswith("right\n</think>\n\n\\boxed{5}<｜end▁of▁sentence｜>")
    assert (row["prompt"] + row["completion"]).count("<think>") == 1
    first = RowRenderer(folder).tokens("", "a")[0][:1]
    assert row["tokens"][:1] == first and row["tokens"][1:2] != first  # one beginning of sequence


def test_a_model_without_template_or_tokenizer_is_named(tmp_path, tiny_model_folder):
    plain = shutil.copytree(tiny_model_folder, tmp_path / "plain")
    (plain / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(ForesightError, match="in.parquet: row 1: .*plain: the model has no chat template"):
        written(tmp_path, [OPENR1], "--model", str(plain))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ForesightError, match="empty: transformers finds no tokenizer there"):
        RowRenderer(tmp_path / "empty")
    with pytest.raises(ForesightError, match="nothing: there is no such folder"):
        RowRenderer(tmp_path / "nothing")


def test_the_program_trains_on_the_rows_and_keeps_the_tokens(tmp_path, foresight, tiny_model_folder):
    """Rows with token ids, made of texts of the tiny model's words; the oracle records exactly these tokens."""
    from foresight_kv import OracleFile

    model = shutil.copytree(tiny_model_folder, tmp_path / "model")
    (model / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    texts = [json.loads(line)["text"] for line in (model / "train.jsonl").read_text().splitlines()]
    rows = written(tmp_path, [{"prompt": text[:50], "completion": text[50:]} for text in texts], "--model", str(model))
    data = [f"data.train=[{tmp_path}/out.jsonl]", "data.pack=false"]
    output = tmp_path / "run"
    run(foresight, "oracle", "--config", "configs/tiny.yaml", *tiny_overrides(model, output), *data)
    recorded = {tuple(OracleFile(file).token_ids.tolist()) for file in (output / "oracle").glob("train-*.h5")}
    assert recorded and recorded <= {tuple(row["tokens"][:160]) for row in rows}


def test_the_tutorials_file_has_the_layout_of_openr1_math(tmp_path, capsys):
    file = tmp_path / "math.parquet"
    run(sys.executable, ROOT / "scripts" / "make_openr1_rows.py", file)
    rows = pq.read_table(file).to_pylist()
    assert len(rows) == 200 and set(OPENR1) <= set(rows[0]) and len({row["problem"] for row in rows}) > 190
    for row in rows:
        for text, right, whole in zip(row["generations"], row["correctness_math_verify"], row["is_reasoning_complete"], strict=True):
            assert right == (f"\\boxed{{{row['answer']}}}" in text) and whole == ("\\boxed" in text)
    assert main([str(file), "--out", str(tmp_path / "out.jsonl")]) == 0
    shown = capsys.readouterr().out
    assert "layout: openr1-math" in shown and "wrote 173 rows" in shown
    assert "left out 27: no generation is whole and marked as correct" in shown


def test_it_is_a_command(tmp_path):
    done = subprocess.run([sys.executable, "-m", "foresight_kv.rows", "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "--skip-faulty" in done.stdout and "Examples:" in done.stdout
