"""foresight-traces against a small server: its rows, faults of the endpoint, kills, and the program that trains on the rows."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from completions_server import CompletionsServer
from conftest import ROOT, run, tiny_overrides

from foresight_kv import completions
from foresight_kv.errors import ForesightError
from foresight_kv.row_tokens import RowRenderer
from foresight_kv.traces import main, parse, sample_traces

TOKENIZER = ROOT / "tests" / "reference" / "tokenizer" / "qwen2_like"
QUESTIONS = [{"prompt": f"How many are {number} and 5?", "answer": str(number + 5), "id": number} for number in range(12)]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A tokenizer with a chat template; no weights are needed to ask an endpoint."""
    folder = shutil.copytree(TOKENIZER, tmp_path_factory.mktemp("chat") / "model")
    turns = "{% for message in messages %}[{{ message.role }}]{{ message.content }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(turns + "{% if add_generation_prompt %}[answer]{% endif %}")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


@pytest.fixture
def server(model_folder):
    renderer = RowRenderer(model_folder)
    with CompletionsServer(first=40, last=renderer.vocabulary - 10, ends=renderer.end_tokens()[0]) as running:
        yield running


@pytest.fixture
def prompts(tmp_path):
    return write_rows(tmp_path / "prompts.jsonl", QUESTIONS)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(completions, "FIRST_PAUSE_S", 0.01)


def write_rows(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def rows_of(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def command(prompts, model, server, *options):
    out = prompts.with_name("traces.jsonl")
    return [str(prompts), "--model", str(model), "--out", str(out), "--endpoint", server.url, "--max-new-tokens", "9", *options], out


def test_rows_hold_what_was_sampled_and_what_the_prompts_had(prompts, model_folder, server):
    line, out = command(prompts, model_folder, server, "--seed", "7", "--samples", "2")
    assert main(line) == 0
    renderer, rows = RowRenderer(model_folder), rows_of(out)
    assert len(rows) == 24 and [row["source"] for row in rows[:3]] == ["prompts.jsonl:1", "prompts.jsonl:1", "prompts.jsonl:2"]
    sampled = {body["seed"]: body for body in server.bodies}
    assert len(sampled) == 24  # each sample has a seed of its own
    for number, row in enumerate(rows):
        question = QUESTIONS[number // 2]
        assert row["prompt"] == f"[user]{question['prompt']}[answer]" and row["answer"] == question["answer"]
        body = next(body for body in server.bodies if server.sampled(body) == row["tokens"][row["prompt_tokens"] :])
        assert row["tokens"][: row["prompt_tokens"]] == body["prompt"] == renderer.prompt_tokens(row["prompt"])
        assert row["completion"] == renderer.completion_text(body["prompt"], server.sampled(body))
        assert row["finished"] == (row["tokens"][-1] == server.ends) and row["id"] == question["id"]
        assert row["sampling"]["model"] == "served" and row["sampling"]["sample"] == number % 2
    assert {row["finished"] for row in rows} == {True, False}
    asked = {"model": "served", "max_tokens": 9, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "return_token_ids": True,
             "repetition_penalty": 1.0}  # fmt: skip
    assert server.bodies[0] | asked == server.bodies[0] and server.ends in server.bodies[0]["stop_token_ids"]


def test_rows_are_in_order_and_the_same_however_many_are_in_flight(prompts, model_folder, server):
    line, out = command(prompts, model_folder, server, "--in-flight", "1")
    assert main(line) == 0 and server.most_in_flight == 1
    alone = out.read_bytes()
    out.unlink()
    server.pause_s = 0.05
    assert main([*line[:-1], "4"]) == 0 and 1 < server.most_in_flight <= 4
    assert out.read_bytes() == alone


def test_columns_of_a_prompt_stay_and_those_named_like_ours_stand_apart(tmp_path, model_folder, server):
    given = {"prompt": "p", "source": "mine", "tokens": 3, "completion": "old", "level": [1, {"a": None}], "Answer": 7,
             "sampling": "x"}  # fmt: skip
    line, out = command(write_rows(tmp_path / "p.jsonl", [given]), model_folder, server)
    assert main(line) == 0
    (row,) = rows_of(out)
    assert row["source"] == "mine" and row["prompt_source"] == "p.jsonl:1" and row["level"] == [1, {"a": None}]
    assert row["given"] == {"tokens": 3, "completion": "old", "sampling": "x"} and row["answer"] == "7" and row["Answer"] == 7
    line, out = command(write_rows(tmp_path / "q.jsonl", [{"prompt": "p", "given": 3, "tokens": 4}]), model_folder, server)
    out.unlink()
    assert main(line) == 0 and rows_of(out)[0]["given"] == {"given": 3, "tokens": 4}


@pytest.mark.parametrize("fault", [429, 503, 500, "cut", "drop", "html", "abort"])
def test_a_busy_or_cut_endpoint_is_asked_again(fault, prompts, model_folder, server, capsys):
    line, out = command(prompts, model_folder, server, "--in-flight", "3")
    assert main(line) == 0
    expected = out.read_bytes()
    out.unlink()
    server.faults.extend([fault] * 7)
    assert main(line) == 0
    assert out.read_bytes() == expected
    assert "trying again for 600 s" in capsys.readouterr().out


def test_a_silent_endpoint_is_asked_again(prompts, model_folder, server):
    line, out = command(prompts, model_folder, server, "--timeout", "0.2", "--in-flight", "2")
    server.faults.extend(["silent"] * 2)
    assert main(line) == 0 and len(rows_of(out)) == 12 and len(server.bodies) == 14


@pytest.mark.parametrize(
    "fault, said",
    [
        (503, "no answer in 1 tries, the last: HTTP 503 {\"error\": {\"message\": \"no room\\\\u001b[2J for this\"}}"),
        ("drop", "no answer in 1 tries, the last: RemoteDisconnected"),
        ("cut", "no answer in 1 tries, the last: IncompleteRead"),
        ("silent", "no answer in 1 tries, the last: nothing was heard for 0.2 s"),
        ("html", "no answer in 1 tries, the last: an answer that is not JSON: <html>"),
        ("abort", "no answer in 1 tries, the last: the text was broken off (finish_reason abort)"),
        (400, "refused with HTTP 400: {\"error\""),
        (404, "refused with HTTP 404"),
        ({"choices": []}, "the answer holds no completion: {\"choices\": []}"),
        ({"choices": [{"text": "a"}]}, "the answer holds no token ids (token_ids, which vLLM gives); --text-only writes rows"),
        ({"choices": [{"token_ids": "ab"}]}, "expected a list of at most 9 token ids, got str"),
        ({"choices": [{"token_ids": [1] * 10}]}, "expected a list of at most 9 token ids, got 10"),
        ({"choices": [{"token_ids": [1, 10**6]}]}, "token_ids[1] is 1000000, outside the vocabulary of "),
        ({"choices": [{"token_ids": [True]}]}, "token_ids[0] is True, outside the vocabulary of "),
    ],
)  # fmt: skip
def test_a_request_that_fails_is_named_with_its_answer(fault, said, prompts, model_folder, server, capsys):
    line, out = command(prompts, model_folder, server, "--patience", "0", "--timeout", "0.2", "--in-flight", "1")
    server.faults.append(fault)
    assert main(line) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {server.url}: prompts.jsonl:1, sample 0: ") and said in error and error.count("\n") == 1
    assert not out.exists() and main(line) == 0  # what was sampled before is there; the rest follows


def test_rows_before_a_failure_are_kept(prompts, model_folder, server, capsys):
    line, out = command(prompts, model_folder, server, "--patience", "0", "--in-flight", "1")
    server.faults.extend([None] * 5 + [400])
    assert main(line) == 1
    assert not out.exists() and len(rows_of(out.with_name("traces.jsonl.unfinished"))) == 5
    capsys.readouterr()
    assert main(line) == 0 and len(server.bodies) == 13  # the refused one again
    assert "5 are in " in capsys.readouterr().out and len(rows_of(out)) == 12
    assert not out.with_name("traces.jsonl.unfinished").exists()


def test_an_endpoint_that_is_not_there_or_serves_others_is_named(prompts, model_folder, server, capsys):
    line, _ = command(prompts, model_folder, server, "--patience", "0.1")
    server.models = ("one", "two")
    assert main(line) == 1 and "serves 2 models; choose one with --served-model: one, two" in capsys.readouterr().err
    assert main([*line, "--served-model", "three"]) == 1
    assert "does not serve 'three'; --served-model is one of one, two" in capsys.readouterr().err
    server.longest = 12
    assert main([*line, "--served-model", "two"]) == 1
    assert "prompts.jsonl:1: a prompt of " in capsys.readouterr().err and not server.bodies
    line[line.index(server.url)] = "http://127.0.0.1:1/v1"  # a port that nobody listens on
    assert main(line) == 1
    assert "error: http://127.0.0.1:1/v1: the list of models: no answer in " in capsys.readouterr().err
    for url in ("ftp://host/v1", "http://", "http://host:port/v1"):
        line[line.index("--endpoint") + 1] = url
        assert main(line) == 1 and "--endpoint: " in capsys.readouterr().err


def test_an_endpoint_with_another_tokenizer_is_refused(prompts, model_folder, server, capsys):
    line, out = command(prompts, model_folder, server)
    renderer = RowRenderer(model_folder)
    server.tokenize = lambda text: [*renderer.prompt_tokens(text), 3]
    assert main(line) == 1 and "--model is the folder of the served model" in capsys.readouterr().err and not server.bodies
    server.tokenize = renderer.prompt_tokens
    assert main(line) == 0 and len(rows_of(out)) == 12


def test_text_alone_from_endpoints_without_ids(prompts, model_folder, server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    line, out = command(prompts, model_folder, server, "--text-only", "--key-variable", "MY_KEY")
    assert main(line) == 0
    rows = rows_of(out)
    assert all("tokens" not in row and row["completion"].startswith("text of ") for row in rows)
    assert set(server.bodies[0]) == {"model", "prompt", "max_tokens", "temperature", "top_p", "seed", "key"}
    assert server.bodies[0]["prompt"].startswith("[user]How") and server.bodies[0]["key"] == "Bearer secret"
    assert "secret" not in out.read_text() and rows[0]["sampling"]["top_k"] is None


def test_ids_as_names_of_tokens_are_taken_too(prompts, model_folder, server):
    line, out = command(prompts, model_folder, server, "--most", "1")
    names = {"tokens": ["token_id:41", "token_id:52"]}
    server.faults.append({"choices": [{"text": "x", "finish_reason": "length", "logprobs": names}]})
    assert main(line) == 0
    (row,) = rows_of(out)
    assert row["tokens"][row["prompt_tokens"] :] == [41, 52] and not row["finished"]


def test_a_file_of_other_prompts_or_settings_is_refused_and_stays(prompts, model_folder, server, capsys):
    line, out = command(prompts, model_folder, server)
    assert main(line) == 0
    before = out.read_bytes()
    for options, said in (
        (["--temperature", "0.9"], "traces.jsonl:1: the row was sampled with temperature 0.6, and this command has 0.9"),
        (["--seed", "2"], "sampled with seed 1, and this command has 2"),
        (["--max-new-tokens", "8"], "sampled with max_new_tokens 9, and this command has 8"),
        (["--most", "3"], "traces.jsonl:4: the row belongs to a prompt or a sample that this command does not have"),
    ):
        assert main([*line, *options]) == 1
        error = capsys.readouterr().err
        assert said in error and "choose another --out, or move the file away" in error
        assert out.read_bytes() == before and not out.with_name("traces.jsonl.unfinished").exists()
    write_rows(prompts, [QUESTIONS[0] | {"answer": "changed"}, *QUESTIONS[1:]])
    assert main(line) == 1 and "traces.jsonl:1: the row belongs to a prompt" in capsys.readouterr().err
    out.write_text('{"text": "mine"}\n')
    assert main(line) == 1 and "traces.jsonl:1: not a row that foresight-traces wrote" in capsys.readouterr().err
    assert out.read_text() == '{"text": "mine"}\n'
    line[line.index("--out") + 1] = str(prompts)
    assert main(line) == 1 and "prompts.jsonl: is read; choose another file for --out" in capsys.readouterr().err


def test_prompts_that_come_behind_are_added(prompts, model_folder, server):
    line, out = command(prompts, model_folder, server)
    assert main([*line, "--most", "5"]) == 0
    assert main(line) == 0 and len(server.bodies) == 12
    assert [row["id"] for row in rows_of(out)] == list(range(12))


def test_a_whole_file_asks_nothing_of_the_endpoint(prompts, model_folder, server, capsys):
    line, out = command(prompts, model_folder, server)
    assert main(line) == 0
    before = out.read_bytes()
    line[line.index(server.url)] = "http://127.0.0.1:1/v1"
    assert main(line) == 0 and out.read_bytes() == before and "12 are in " in capsys.readouterr().out


def test_show_renders_and_samples_nothing(prompts, model_folder, server, capsys, tmp_path):
    assert main([str(prompts), "--model", str(model_folder), "--show"]) == 0
    shown = capsys.readouterr().out
    assert "--- prompts.jsonl:2: " in shown and "[user]How many are 1 and 5?[answer]" in shown and ":3:" not in shown
    assert list(tmp_path.iterdir()) == [prompts]


def test_a_template_gets_a_date_where_one_is_given(prompts, model_folder, tmp_path, capsys):
    dated = shutil.copytree(model_folder, tmp_path / "dated")
    template = (dated / "chat_template.jinja").read_text()
    guarded = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% endif %}"
    show = [str(prompts), "--model", str(dated), "--show"]
    (dated / "chat_template.jinja").write_text(guarded + template)
    assert main(show) == 0 and "\n[user]How" in capsys.readouterr().out
    assert main([*show, "--template-date", "2026-11-28"]) == 0 and "\n28 Nov 2026[user]How" in capsys.readouterr().out
    assert main([*show, "--template-date", "soon"]) == 1 and "expected a date like 2026-11-28, got 'soon'" in capsys.readouterr().err
    (dated / "chat_template.jinja").write_text("{{ strftime_now('%Y') }}" + template)
    assert main(show) == 1
    assert "prompts.jsonl:1: the chat template of" in (error := capsys.readouterr().err) and "give one: --template-date" in error


@pytest.mark.parametrize(
    "line",
    [["x"], ["x", "--model", "m"], ["x", "--model", "m", "--show", "--out", "o"], ["x", "--model", "m", "--offline"],
     ["x", "--model", "m", "--out", "o", "--offline", "--text-only"],
     ["x", "--model", "m", "--out", "o", "--endpoint", "u", "--engine", '{"seed": 1}'],
     ["x", "--model", "m", "--out", "o", "--offline", "--engine", "[]"],
     ["x", "--model", "m", "--out", "o", "--offline", "--engine", "{"],
     ["x", "--model", "m", "--show", "--top-p", "0"], ["x", "--model", "m", "--show", "--top-k", "-1"],
     ["x", "--model", "m", "--show", "--samples", "0"], ["x", "--model", "m", "--show", "--temperature", "hot"]],
)  # fmt: skip
def test_a_command_line_that_means_nothing_is_refused(line, capsys):
    with pytest.raises(SystemExit) as ended:
        main(line)
    assert ended.value.code == 2 and "error: " in capsys.readouterr().err


def test_vllm_that_is_not_there_or_would_evict_is_named(prompts, model_folder, monkeypatch, capsys):
    line = [str(prompts), "--model", str(model_folder), "--out", str(prompts.with_name("o.jsonl")), "--offline"]
    monkeypatch.setitem(sys.modules, "vllm", None)
    assert main(line) == 1 and "--offline: vLLM is not installed in this environment" in capsys.readouterr().err
    monkeypatch.setenv("FORESIGHT_SCORER", "x.safetensors")
    assert main(line) == 1 and "traces are sampled with the full cache; unset it" in capsys.readouterr().err


def started(line, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts" / "python" / "src"), "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen([sys.executable, "-m", "foresight_kv.traces", *line], env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **options)  # fmt: skip


def wait_for_rows(file, count, process):
    while not file.exists() or file.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def test_kills_lose_no_finished_row(prompts, model_folder, server):
    line, out = command(prompts, model_folder, server, "--samples", "5", "--in-flight", "4")
    assert main(line) == 0
    expected, unfinished = out.read_bytes(), out.with_name("traces.jsonl.unfinished")
    out.unlink()
    server.bodies.clear()
    server.pause_s = 0.02
    for number, rows in ((signal.SIGKILL, 3), (signal.SIGKILL, 20), (signal.SIGTERM, 40)):
        process = started(line)
        wait_for_rows(unfinished, rows, process)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        assert not out.exists() and process.returncode == (75 if number == signal.SIGTERM else -number)
        assert "finished rows are kept" in said or number == signal.SIGKILL
    kept = [json.loads(text)["tokens"] for text in unfinished.read_bytes().split(b"\n")[:-1]]
    asked = len(server.bodies)
    process = started(line)
    assert process.wait(timeout=120) == 0, process.communicate()
    assert out.read_bytes() == expected and not unfinished.exists()
    again = [[*body["prompt"], *server.sampled(body)] for body in server.bodies[asked:]]
    assert len(kept) >= 40 and len(again) == 60 - len(kept) and not any(tokens in kept for tokens in again)


def test_two_commands_do_not_write_one_file(prompts, model_folder, server, capsys):
    line, out = command(prompts, model_folder, server, "--in-flight", "1")
    server.pause_s = 0.3
    process = started(line)
    wait_for_rows(out.with_name("traces.jsonl.unfinished"), 1, process)
    assert main(line) == 1
    assert "traces.jsonl: another command is writing it; wait for it to end" in capsys.readouterr().err
    server.pause_s = 0
    assert process.wait(timeout=60) == 0 and len(rows_of(out)) == 12


def test_the_program_trains_on_the_ids_that_were_sampled(tmp_path, foresight, tiny_model_folder):
    """The ids are not those that the text would be tokenized to; the oracle records exactly these."""
    from foresight_kv import OracleFile

    model = shutil.copytree(tiny_model_folder, tmp_path / "model")
    (model / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    renderer = RowRenderer(model)
    prompts = write_rows(tmp_path / "prompts.jsonl", [{"prompt": f"the {number} of"} for number in range(6)])
    with CompletionsServer(first=3, last=renderer.vocabulary) as server:
        ids = renderer.vocabulary - 3
        server.sampled = lambda body: [3 + (7 * index + body["seed"]) % ids for index in range(body["max_tokens"])]
        given = parse([str(prompts), "--model", str(model), "--out", str(tmp_path / "out.jsonl"), "--endpoint", server.url,
                       "--max-new-tokens", "200"])  # fmt: skip
        assert sample_traces(given, lambda text: None) == 6
    rows = rows_of(tmp_path / "out.jsonl")
    assert any(renderer.tokens(row["prompt"], row["completion"])[0] != row["tokens"] for row in rows)
    output = tmp_path / "run"
    data = [f"data.train=[{tmp_path}/out.jsonl]", "data.pack=false"]
    run(foresight, "oracle", "--config", "configs/tiny.yaml", *tiny_overrides(model, output), *data)
    recorded = {tuple(OracleFile(file).token_ids.tolist()) for file in (output / "oracle").glob("train-*.h5")}
    assert recorded and recorded <= {tuple(row["tokens"][:160]) for row in rows}


def test_a_prompt_that_cannot_be_used_ends_the_command_before_anything_is_sampled(tmp_path, model_folder, server):
    rows = write_rows(tmp_path / "p.jsonl", [QUESTIONS[0], {"prompt": "x", "chat_template_kwargs": {"tokenize": True}}])
    line, out = command(rows, model_folder, server)
    with pytest.raises(ForesightError, match="p.jsonl:2: chat_template_kwargs: 'tokenize' is not a variable of a chat template"):
        sample_traces(parse(line), str)
    assert not server.bodies and not out.exists()
    (tmp_path / "other").mkdir()
    same = write_rows(tmp_path / "other" / "p.jsonl", [QUESTIONS[0]])
    with pytest.raises(ForesightError, match="p.jsonl:1: this row of a file of this name is given twice"):
        sample_traces(parse([str(same), *line, "--most", "2"]), str)
