"""Implements `lab bench data`, `lab bench loss`, `lab bench train` and `lab bench decode`."""

from typing import Annotated

import typer

from generators.foundation.options import Json, answer, note
from lab.bench.answers import AnswerBench, measure_answers
from lab.bench.data import measure_data
from lab.bench.decode import TURNS, measure_decoding
from lab.bench.loss import LossBench, measure_losses
from lab.bench.run_time import SPEC, measure_run
from lab.bench.train import TrainBench, measure_training
from lab.commands.options import DEFAULT_HOME, Home

bench_app = typer.Typer(no_args_is_help=True, help="Measure speed and memory against baselines.")


@bench_app.command("data")
def data_command(
    corpus: Annotated[str | None, typer.Option(help="a text file for the tasks that need one")] = None,
    as_json: Json = False,
) -> None:
    """Measure the time to generate each task's data as a share of the smallest model's step (target: under 2%)."""
    rows = measure_data(corpus)
    lines = [f"{'task':<18}{'samples/s':>12}{'tokens/s':>14}{'draw ms':>10}{'step ms':>10}{'share':>8}"]
    for row in rows:
        if "left_out" in row:
            lines.append(f"{row['task']:<18}left out: {row['left_out']}")
            continue
        speed = f"{row['samples_per_second']:>z12,.0f}{row['tokens_per_second']:>z14,.0f}"
        lines.append(
            f"{row['task']:<18}{speed}{row['draw_ms']:>z10.3f}{row['step_ms']:>z10.2f}{row['share_of_step']:>z8.2%}"
        )
    answer({"tasks": rows}, as_json, "\n".join(lines))


@bench_app.command("loss")
def loss_command(as_json: Json = False) -> None:
    """Measure peak memory and time of the three losses as n grows (about ten minutes)."""
    bench = LossBench()
    rows = measure_losses(bench)
    tokens = bench.samples * bench.length_tokens
    lines = [
        f"Vocabulary of {bench.vocabulary:,}, width {bench.width}, {tokens:,} tokens, {bench.trunk_layers} trunk layer "
        "and n transformer heads, fp32, one thread.",
        "Peaks are those of a forward and backward pass above the model and its gradients, in a separate process;",
        f"seconds are medians of {bench.turns} turns in one process, and their ratios are taken within a turn.",
        "",
        f"{'n':>3} {'loss':<12}{'peak MB':>10}{'to n=1':>9}{'to joint':>10}{'seconds':>10}{'to joint':>10}",
    ]
    for row in rows:
        memory = f"{row['peak_mb']:>z10,.0f}{row['memory_to_first']:>z9.2f}{row['memory_to_joint']:>z10.2f}"
        lines.append(f"{row['n']:>3} {row['loss']:<12}{memory}{row['seconds']:>z10.2f}{row['time_to_joint']:>z10.2f}")
    answer({"measured": bench.model_dump(mode="json"), "rows": rows}, as_json, "\n".join(lines))


@bench_app.command("train")
def train_command(
    device: Annotated[str, typer.Option(help="the torch device to measure on")] = "cpu", as_json: Json = False
) -> None:
    """Compare the training step with those of peers and with its bare matrix products (about half an hour)."""
    bench, answers = TrainBench(device=device), AnswerBench()
    rows = measure_training(bench)
    lines = [
        f"A vocabulary of {bench.vocabulary}, {bench.samples} samples, {device}, one thread; match = layers.",
        f"Medians of {bench.turns} turns; ratios of the step's time to that of others are taken within a turn.",
        "",
        f"{'':>5} {'':<26}{'':>10}{'to transformers':>20}{'to GPT':>10}{'to':>8}{'to the':>9}",
        f"{'width':>5} {'step':<26}{'ms':>10}{'eager':>10}{'compiled':>10}{'compiled':>10}{'floor':>8}{'first n':>9}",
    ]
    for row in rows:
        first = f"{row['to_first_n']:>z9.2f}" if "to_first_n" in row else ""
        lines.append(
            f"{row['width']:>5} {row['step']:<26}{row['milliseconds']:>z10.2f}{row['to_transformers_eager']:>z10.2f}"
            f"{row['to_transformers_compiled']:>z10.2f}{row['to_plain_gpt_compiled']:>z10.2f}{row['to_floor']:>z8.2f}{first}"
        )
    value = {"measured": bench.model_dump(mode="json"), "rows": rows}
    if device == "cpu":
        answer_rows, run = measure_answers(answers), measure_run()
        lines += ["", f"{'task':<12}{'width':>5}{'n':>3}{'ms':>10}{'ms at every position':>22}{'ratio':>8}"]
        for row in answer_rows:
            times = f"{row['milliseconds']:>z10.2f}{row['milliseconds_at_every_position']:>z22.2f}"
            lines.append(f"{row['task']:<12}{row['width']:>5}{row['n']:>3}{times}{row['to_every_position']:>z8.2f}")
        shares = ", ".join(f"{run[part]:z.1%} {part}" for part in ("steps", "evaluation", "other"))
        lines += ["", f"a run of {SPEC['training']['steps']} steps at 30k takes {run['seconds']:z.1f} s: {shares}"]
        value |= {"measured_answers": answers.model_dump(mode="json"), "answers": answer_rows, "run": run}
    answer(value, as_json, "\n".join(lines))


@bench_app.command("decode")
def decode_command(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Train three runs, measure self-speculation on them, and compare greedy decoding with transformers'."""
    speculation_rows, greedy_rows = measure_decoding(home, note)
    lines = [
        f"fp32, one thread; medians of {TURNS} turns, ratios within a turn. Paper: 7B, code and bytes.",
        "",
        f"{'run':<12}{'batch':>6}{'k':>3}{'tokens/forward':>18}{'times faster':>14}{'ratio':>7}{'paper':>14}  same",
    ]
    for row in speculation_rows:
        paper = f"{row['paper_tokens_per_forward']:z.2f}, {row['paper_times_faster']:z.2f}"
        lines.append(
            f"{row['run']:<12}{row['samples']:>6}{row['draft']:>3}{row['tokens_per_forward']:>z18.2f}"
            f"{row['times_faster']:>z14.2f}{row['realised']:>z7.2f}{paper:>14}"
            f"  {'yes' if row['same_as_plain'] else 'no'}"
        )
    lines += ["", f"{'greedy, batch':>13}{'ms/token':>12}{'transformers':>14}{'times faster':>14}  same"]
    for row in greedy_rows:
        lines.append(
            f"{row['samples']:>13}{row['ms_a_token']:>z12.2f}{row['transformers_ms_a_token']:>z14.2f}"
            f"{row['times_faster']:>z14.2f}  {'yes' if row['same_tokens'] else 'no'}"
        )
    answer({"speculation": speculation_rows, "greedy": greedy_rows}, as_json, "\n".join(lines))
