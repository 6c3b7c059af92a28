"""Tables and pictures of the benchmarks' results."""

import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox, IdentityTransform
from runs import ROOT

from potstill.core import files
from potstill.evaluate import table
from potstill.evaluate.metrics.scores import interval
from potstill.evaluate.plots import figure
from potstill.evaluate.plots.canvas import heading, log_axis, new_figure
from potstill.evaluate.plots.figure import SERIES
from potstill.evaluate.plots.placement import place

Rows = Sequence[dict[str, Any]]


def summarise(rows: Rows, by: tuple[str, ...] = ("setting", "model", "training")) -> pd.DataFrame:
    """Return a row per setting, model and training: mean and range over the seeds."""
    grouped = pd.DataFrame(rows).groupby(list(by), sort=False)
    summary = grouped.agg(
        labels=("labels", "first"),
        parameters=("parameters", "max"),
        bytes=("bytes", "max"),
        seeds=("seed", "count"),
        validation=("validation_accuracy", "mean"),
        test=("test_accuracy", "mean"),
        lowest=("test_accuracy", "min"),
        highest=("test_accuracy", "max"),
        matthews=("test_matthews", "mean"),
        test_rows=("test_rows", "max"),
        transfer_texts=("transfer_texts", "max"),
    ).reset_index()
    # The interval is that of one run, since all runs share the test split.
    summary[["low", "high"]] = [interval(round(r.test * r.test_rows), r.test_rows) for r in summary.itertuples()]
    return summary


def spread(row: Any) -> str:
    """Return the number of seeds of a row of `summarise`, and the range of their accuracies in percent."""
    return f"{row.seeds}: {100 * row.lowest:.2f}–{100 * row.highest:.2f}" if row.seeds > 1 else "1"


def markdown(headings: dict[str, str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; `headings` maps each to its alignment, `---` or `---:`."""
    lines = [" | ".join(headings), " | ".join(headings.values()), *(" | ".join(row) for row in rows)]
    return "".join(f"| {line} |\n" for line in lines)


def cells(row: Any) -> list[str]:
    """Return the cells that all tables have, from a row of `summarise`."""
    return [
        row.model,
        row.training or "–",
        table.amount(row.parameters),
        "–" if pd.isna(row.bytes) else f"{row.bytes:,.0f}",
        f"{100 * row.validation:.2f}",
        f"{100 * row.test:.2f} ({100 * row.low:.1f}–{100 * row.high:.1f})",
        spread(row),
    ]


HEADINGS = {
    "model": "---", "training": "---", "parameters": "---:", "bytes": "---:", "validation, %": "---:",
    "test, % (mean, 95% interval)": "---:", "seeds, range": "---:",
}  # fmt: skip


RESULTS, PERFORMANCE = ROOT / "docs" / "results.md", ROOT / "docs" / "performance.md"


def publish(table: Path, name: str, text: str, page: Path = RESULTS) -> None:
    """Write a table to its file, and to a page of the documentation between the two comments of that name."""
    files.write_text(table, text)
    insert(page, name, text)


def insert(page: Path, name: str, text: str) -> None:
    """Replace what a page has between the two comments of that name."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, rest = page.read_text("utf-8").split(start)
    files.write_text(page, before + start + "\n" + text + "\n" + end + rest.split(end)[1])


def draw_curves(
    lines: dict[str, tuple[list[Any], list[float]]], title: str, label: str, path: Path, log: bool = True
) -> None:
    """Draw lines of test accuracy in percent: by name, the x and the y values.

    Names that end in "hard labels" are dotted, in the colour of the name without it; a single point is a horizontal
    line.
    """
    with new_figure(path, 8, 4.2) as figure:
        axes = figure.subplots()
        figure.subplots_adjust(left=0.08, right=0.97 if len(lines) < 3 else 0.72, top=0.84, bottom=0.13)
        heading(figure, title, "test accuracy, mean over the seeds")
        colours: dict[str, str] = {}
        for name, (x, y) in lines.items():
            kind, _, training = name.partition(", ")
            colour = colours.setdefault(kind, SERIES[len(colours) % len(SERIES)])
            if len(x) < 2:
                axes.axhline(y[0], color=colour, lw=1.2, label=name)
            else:
                axes.plot(x, y, "o:" if training == "hard labels" else "o-", color=colour, ms=4, label=name)
        if log:
            axes.set_xscale("log")
            log_axis(axes.xaxis)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}%"))
        axes.set_xlabel(label)
        axes.grid(axis="y")
        if len(lines) < 3:
            figure.legend(loc="upper right", bbox_to_anchor=(0.985, 0.985), ncols=2)
        else:
            figure.legend(loc="center left", bbox_to_anchor=(0.725, 0.5))


def emotion(rows: Rows, folder: Path) -> None:
    """Write the table of all models, and draw accuracy against size."""
    summary = summarise(rows)
    text = markdown(HEADINGS, map(cells, summary.sort_values("test").itertuples()))
    publish(folder / "table.md", "emotion", text)
    kinds = {"distilled": "student", "hard": "baseline"}
    points = [
        {
            "name": row.model.split(" ")[0],
            "kind": "teacher" if "teacher" in row.model else kinds.get(row.training, "baseline"),
            "parameters": row.parameters,
            "accuracy": row.test,
            "accuracy_low": row.low,
            "accuracy_high": row.high,
        }
        for row in summary.itertuples()
        if not row.model.endswith("as they are")
    ]
    figure.size_figure(points, "MiniLM", folder / "size.png", published=True)


def glue(name: str, rows: Rows, verdict: str, folder: Path) -> None:
    """Write the table of a task, and the verdict on its student."""
    lines = [[*cells(row), f"{100 * row.matthews:.1f}"] for row in summarise(rows).sort_values("test").itertuples()]
    text = markdown(HEADINGS | {"Matthews × 100": "---:"}, lines) + f"\n> {verdict}\n"
    publish(folder / f"{name}.md", name, text)


def debian(results: dict[str, dict[str, Any]], folder: Path) -> None:
    """Write the scores of each model and the verdict, task by task."""
    headings = {
        "model": "---", "parameters": "---:", "bytes": "---:", "test, % (95% interval)": "---:", "macro-F1, %": "---:",
    }  # fmt: skip
    text = ""
    for name, found in results.items():
        rows, labels = found["prepare"]["rows"], len(found["prepare"]["labels"]["train"])
        counts = ", ".join(f"{rows[split]:,} {split}" for split in ("train", "validation", "test", "unlabelled"))
        lines = [
            [
                model,
                "–" if row["parameters"] is None else table.amount(row["parameters"]),
                f"{row['bytes']:,}",
                f"{100 * row['accuracy']:.2f} ({100 * row['accuracy_low']:.1f}–{100 * row['accuracy_high']:.1f})",
                f"{100 * row['macro_f1']:.1f}",
            ]
            for model, row in sorted(found["models"].items(), key=lambda item: item[1]["accuracy"])
        ]
        verdict = found["verdict"]
        reasons = " ".join(f"{reason['text']}." for reason in verdict["reasons"])
        text += (
            f"{name.capitalize()}: {labels} labels; {counts} texts.\n\n{markdown(headings, lines)}\n"
            f"> **{verdict['decision'].capitalize()}**: {verdict['summary']}. {reasons}\n\n"
        )
    publish(folder / "table.md", "debian", text.rstrip("\n") + "\n")


def qr(rows: Rows, folder: Path) -> None:
    """Write the QR code of a student."""
    command = ["potstill", "qr", rows[0]["file"], "-o", folder / "qr.png", "--overwrite"]
    subprocess.run([sys.executable, "-m", *command], check=True)


def speed(rows: Rows, facts: dict[str, Any], folder: Path) -> None:
    """Write the table of speeds, and draw accuracy against speed."""
    headings = {
        "model": "---", "texts per second": "---:", "fastText = 1 (range)": "---:", "one text, µs": "---:",
        "bytes": "---:", "memory of the process, MB": "---:", "import, load, first answer, s": "---:",
        "test accuracy, %": "---:",
    }  # fmt: skip
    ordered = sorted(rows, key=lambda row: -row["texts_per_second"])
    lines = [
        [
            row["model"],
            f"{row['texts_per_second']:,}",
            f"{row['ratio_to_fasttext']:.3g} ({row['lowest_ratio']:.3g}–{row['highest_ratio']:.3g})",
            f"{row['microseconds_for_one']:,.1f}",
            f"{row['bytes']:,}",
            f"{row['megabytes']:,.0f}",
            f"{row['load_seconds']:.2f}",
            f"{100 * row['test_accuracy']:.2f}",
        ]
        for row in ordered
    ]
    parquet, service = facts["parquet"], facts["service"]
    text = markdown(headings, lines) + (
        f"\nA fresh Python gives its first answer after {facts['startup_seconds']:.2f} s. `potstill predict` takes "
        f"{parquet['rows']:,} texts from a Parquet file to another in {parquet['seconds']:.0f} s, "
        f"{parquet['texts_per_second']:,} a second, with {parquet['megabytes']} MB of memory at most "
        f"({rows[0]['model']}). With {service['clients']} clients at once and one text per request, `potstill serve` "
        f"answers {service['requests_per_second']:,} requests a second, half within "
        f"{service['milliseconds_median']:.0f} ms, 99% within {service['milliseconds_p99']:.0f} ms; the clients run on "
        "the same two cores.\n"
    )
    publish(folder / "table.md", "speed", text, PERFORMANCE)
    with new_figure(folder / "speed.png", 8, 4.2) as figure:
        axes = figure.subplots()
        figure.subplots_adjust(left=0.08, right=0.96, top=0.84, bottom=0.13)
        heading(figure, "Accuracy against speed", "Emotion tweets, one thread; students filled, peers hollow")
        axes.set_xscale("log")
        axes.set_xlim(ordered[-1]["texts_per_second"] / 3, ordered[0]["texts_per_second"] * 3)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        points = [(row["texts_per_second"], 100 * row["test_accuracy"]) for row in rows]
        texts = []
        for row, point in zip(rows, points, strict=True):
            ours = "parameters" in row
            axes.plot(*point, "o", color=SERIES[0] if ours else SERIES[1], mfc=None if ours else "white")
            texts.append(
                axes.text(0, 0, row["model"], ha="center", va="center", fontsize=8, transform=IdentityTransform())
            )
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}%"))
        axes.margins(y=0.12)
        axes.set_xlabel("texts per second")
        axes.grid(axis="y")
        axes.get_ylim()  # computes the limits, which place() needs
        middles = axes.transData.transform(points)
        reach = 5 * figure.dpi / 72
        place(axes, points, texts, [Bbox([middle - reach, middle + reach]) for middle in middles])


def few(rows: Rows, folder: Path) -> None:
    """Write the means over three samples of the labels with five seeds each."""
    table = pd.DataFrame(rows)
    table["draw"] = table["setting"].str.split().str[-1]
    table["setting"] = table["labels"].map("{:,}".format)
    table["chosen by"] = table["validation_rows"].map("{:,}".format)
    by = ("setting", "model", "training", "chosen by")
    summary = summarise(table.to_dict("records"), by)
    by_draw = table.groupby([*by, "draw"])["test_accuracy"].mean()
    lines = []
    for row in summary.sort_values(["labels", "test"], ascending=[False, True]).itertuples():
        draws = by_draw[row.setting, row.model, row.training, row._4]
        lines.append([
            row.setting, row.model, row.training or "–", f"{row.parameters:,}", row._4, f"{100 * row.test:.2f}",
            ", ".join(f"{100 * draw:.2f}" for draw in draws), spread(row),
        ])  # fmt: skip
    headings = {
        "labels": "---:", "model": "---", "training": "---", "parameters": "---:", "validation labels": "---:",
        "test, % (mean)": "---:", "draws": "---:", "runs, range": "---:",
    }  # fmt: skip
    publish(folder / "few.md", "few", markdown(headings, lines))


def ablation(rows: Rows, folder: Path) -> None:
    """Write a table, and draw it."""
    summary = summarise(rows)
    summary[["what", "words"]] = summary["model"].str.rsplit(", ", n=1, expand=True).to_numpy()
    wide = summary.pivot(index="what", columns="words", values=["validation", "test"])
    order = summary["what"].drop_duplicates()
    columns = [(score, words) for words in ("frequent words", "chosen words") for score in ("validation", "test")]
    headings = {"trained on": "---"} | {f"{words}: {score}, %": "---:" for score, words in columns}
    lines = [[what, *(f"{100 * wide.loc[what, column]:.2f}" for column in columns)] for what in order]
    files.write_text(folder / "ablation.md", markdown(headings, lines))
    by_words = {
        words: (list(order), [100 * wide.loc[what, ("test", words)] for what in order])
        for score, words in columns
        if score == "test"
    }
    draw_curves(by_words, "bigru-3k on more and more text", "", folder / "ablation.png", log=False)


def labels(rows: Rows, folder: Path) -> None:
    """Draw accuracy against the number of labels."""
    curves(rows, "labels", "Accuracy against the number of labels", "labels", folder / "labels.png")


def pool(rows: Rows, folder: Path) -> None:
    """Draw accuracy against the number of texts that the teacher labels."""
    title = "1,000 labels: accuracy against the texts that the teacher labels"
    curves(rows, "transfer_texts", title, "texts that the teacher labels", folder / "pool.png")


def parameters(rows: Rows, folder: Path) -> None:
    """Draw accuracy against the number of parameters."""
    kept = [row | {"model": row["model"].split("-")[0]} if row["training"] else row for row in rows]
    kept = [row for row in kept if row["training"] or "teacher" in row["model"]]
    curves(kept, "parameters", "Accuracy against the number of parameters", "parameters", folder / "parameters.png")


def curves(rows: Rows, along: str, title: str, label: str, path: Path) -> None:
    """Draw a line for each model and training."""
    data = pd.DataFrame(rows)
    data["name"] = data["model"].where(data["training"] != "hard", data["model"] + ", hard labels")
    means = 100 * data.groupby(["name", along])["test_accuracy"].mean()
    order = means.groupby("name").last().sort_values(ascending=False).index  # as the lines end, so the legend
    draw_curves({name: (list(means[name].index), list(means[name])) for name in order}, title, label, path)


def label(rows: Rows, folder: Path) -> None:
    """Write the labelling speed of each engine, machine by machine."""
    headings = {
        "machine": "---", "teacher": "---", "texts": "---:", "engine": "---", "texts/s": "---:",
        "times the pipeline's": "---:", "same labels": "---:",
    }  # fmt: skip
    lines = [
        [
            row["machine"],
            row["teacher"],
            f"{row['texts']:,}",
            row["engine"],
            f"{row['texts_per_second']:,.0f}",
            f"{row['ratio_to_pipeline']:.2f} ({row['lowest_ratio']:.2f}–{row['highest_ratio']:.2f})",
            f"{row['same_labels']:.2%}",
        ]
        for row in rows
    ]
    publish(folder / "table.md", "label", markdown(headings, lines), PERFORMANCE)


def no_labels(rows: Rows, folder: Path) -> None:
    """Write teachers and students of texts without labels, task by task."""
    headings = {
        "task": "---", "texts": "---:", "most frequent class": "---:", "teacher": "---:", "student": "---:",
        "agreement (95% CI)": "---:", "size": "---:", "verdict": "---",
    }  # fmt: skip
    lines = [
        [
            row["task"],
            f"{row['texts']:,}",
            *(f"{100 * row[key]:.1f}" for key in ("majority", "teacher_accuracy", "student_accuracy")),
            f"{100 * row['agreement']:.1f} ({100 * row['agreement_low']:.1f}–{100 * row['agreement_high']:.1f})",
            f"{row['rung']}, {table.size(row['bytes'])}",
            row["decision"],
        ]
        for row in rows
    ]
    publish(folder / "table.md", "no_labels", markdown(headings, lines))


def resources(of: dict[tuple[str, int], Any], stages: list[str], sizes: list[int], time: str) -> list[list[str]]:
    """Return a line per stage with its time and memory at each size; `time` is the key of the seconds."""
    return [
        [stage, *(f"{of[stage, size][time]:,.1f} s, {of[stage, size]['peak_megabytes']:,.0f} MB" for size in sizes)]
        for stage in stages
    ]


def long_texts(rows: Rows, folder: Path) -> None:
    """Write the table of teachers and students that truncate long texts, and of those that read them."""
    headings = {
        "task": "---", "model": "---", "reads": "---", "test, %": "---:", "long texts, %": "---:",
        "difference to the row above (95% CI)": "---:",
    }  # fmt: skip
    lines = []
    for row in rows:
        reads = f"{row['max_length']} words" if row["model"] == "student" else f"windows: {row['max_windows']}"
        said = ""
        if found := row.get("versus_truncated"):
            ends = (f"{100 * found[f'difference_{end}']:+.1f}" for end in ("low", "high"))
            said = f"{100 * found['difference']:+.1f} ({' to '.join(ends)})"
        accuracies = f"{100 * row['test_accuracy']:.1f}", f"{100 * row['long_accuracy']:.1f}"
        lines.append([row["task"], row["model"], reads, *accuracies, said])
    files.write_text(folder / "table.md", markdown(headings, lines))


def classes(rows: Rows, folder: Path) -> None:
    """Write processor time and memory of each stage by number of classes, and the accuracies and sizes."""
    of = {(row["stage"], row["classes"]): row for row in rows}
    stages = list(dict.fromkeys(row["stage"] for row in rows if row["stage"] != "all"))
    sizes = sorted({row["classes"] for row in rows})
    lines = resources(of, stages, sizes, "core_seconds")
    for name, title in (("student", "student"), ("hard", "hard labels"), ("tfidf", "TF-IDF")):
        lines.append([f"test accuracy, {title}", *(f"{of['all', size]['accuracy'][name]:.1%}" for size in sizes)])
    for name, title in (("student", "student.pot"), ("onnx", "model.onnx"), ("report", "the report's page")):
        lines.append([f"size, {title}", *(table.size(of["all", size]["bytes"][name]) for size in sizes)])
    headings = {"stage": "---", **{f"{size:,} classes": "---:" for size in sizes}}
    files.write_text(folder / "table.md", markdown(headings, lines))


def scale(rows: Rows, folder: Path) -> None:
    """Write the table of time and memory of each stage by number of texts, and draw it."""
    of = {(row["stage"], row["rows"]): row for row in rows}
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    sizes = sorted({row["rows"] for row in rows})
    headings = {"stage": "---", **{f"{size:,} texts": "---:" for size in sizes}}
    text = markdown(headings, resources(of, stages, sizes, "seconds"))
    publish(folder / "table.md", "scale", text, PERFORMANCE)
    with new_figure(folder / "scale.png", 8, 3.8) as figure:
        panels = zip(figure.subplots(1, 2), (("seconds", "seconds"), ("peak_megabytes", "megabytes")), strict=True)
        figure.subplots_adjust(left=0.08, right=0.98, top=0.8, bottom=0.14, wspace=0.25)
        heading(figure, "Many unlabelled texts", "time and peak memory of each stage, on one core")
        for axes, (key, name) in panels:
            for number, stage in enumerate(stages):
                values = [of[stage, size][key] for size in sizes]
                axes.plot(sizes, values, "o-", color=SERIES[number % len(SERIES)], ms=4, label=stage)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks(sizes, [table.thousands(size) for size in sizes])
            axes.minorticks_off()
            log_axis(axes.yaxis)
            axes.set_xlabel("texts")
            axes.set_ylabel(name)
            axes.grid()
        axes.legend()


PEERS = {"tfidf": "TF-IDF + LR", "hard": "hard labels", "fasttext": "fastText", "model2vec": "model2vec"}
SHOWN_PEERS = ("tfidf", "fasttext", "model2vec")  # in the README
MEGABYTE = 1_000_000  # bytes
COLOURS = (*SERIES[:4], "#e69f00", "#56b4e9", "#1f2933", SERIES[4])  # Okabe and Ito


def board(rows: Rows, folder: Path) -> None:
    """Write the table with a row per task and a summary, the README's shorter one, and draw accuracy against size."""
    tasks: dict[str, dict[str, Any]] = {}
    for row in rows:
        tasks.setdefault(row["task"], {}).setdefault(row["model"], []).append(row)
    headings = {
        "task": "---", "teacher, %": "---:", "student, % (seeds: range)": "---:", "kept, %": "---:", "rung": "---",
        "bytes": "---:", "texts per second (teacher = 1, fastText = 1)": "---:",
        **dict.fromkeys(PEERS.values(), "---:"), "verdict": "---",
    }  # fmt: skip
    text = markdown(headings, (_task(task, models) for task, models in tasks.items()))
    text += (
        "\nTest accuracy; means over the seeds. ↑: the peer is significantly better than the student in most of the "
        f"seeds (95% interval of the paired difference).\n\n{_summary(tasks)}"
    )
    publish(folder / "table.md", "board", text)
    insert(ROOT / "README.md", "board", _short_board(tasks))
    _draw_board(tasks, folder / "board.png")


def teachers(rows: Rows, folder: Path) -> None:
    """Write a table with a row per task, teacher, seed and `student.rung`."""
    headings = {
        "task": "---", "teacher": "---", "seed": "---:", "parameters": "---:", "fine-tuning, s": "---:",
        "labelling, s": "---:", "teacher, % (95% CI)": "---:", "Matthews × 100": "---:", "rung": "---", "bytes": "---:",
        "student, % (95% CI)": "---:", "its Matthews × 100": "---:", "difference, points (95% CI)": "---:",
        "verdict": "---",
    }  # fmt: skip
    publish(folder / "table.md", "teachers", markdown(headings, map(_teacher, rows)))


def _teacher(row: dict[str, Any]) -> list[str]:
    """Return the cells of a teacher and, if there is one, its student."""
    times = (row["seconds"][stage] for stage in ("teacher", "label"))
    seconds = ["" if taken is None else f"{taken:,.0f}" for taken in times]
    parameters = f"{row['parameters'] / 1e6:.1f}M"
    cells = [row["task"], row["teacher"], str(row["seed"]), parameters, *seconds, *_tested(row)]
    if not (student := row["student"]):
        return [*cells, *[""] * 6]
    versus = student["versus_teacher"]
    points = [
        f"{100 * versus[key]:+.1f}".replace("-", "−") for key in ("difference", "difference_low", "difference_high")
    ]
    difference = f"{points[0]} ({points[1]} to {points[2]})"
    size, rung = f"{student['bytes']:,}", student["rung"] + " (set)" * (row["asked"] != "auto")
    return [*cells, rung, size, *_tested(student), difference, student["verdict"]]


def _tested(row: dict[str, Any]) -> list[str]:
    accuracy, low, high = (100 * row[key] for key in ("accuracy", "accuracy_low", "accuracy_high"))
    return [f"{accuracy:.1f} ({low:.1f}–{high:.1f})", f"{100 * row['matthews']:.1f}"]


def settings(rows: Rows, folder: Path) -> None:
    """Write a table with a row per variant of a rung and a column per task."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    variants = list(dict.fromkeys((row["rung"], _changes(row)) for row in rows))
    of = {(row["rung"], _changes(row), row["task"]): row for row in rows}
    headings = {"rung": "---", "changes": "---", **dict.fromkeys(tasks, "---:"), "bytes": "---:"}
    lines = []
    for rung, changes in variants:
        found = [of.get((rung, changes, task)) for task in tasks]
        cells = [f"{row['divergence']:.3f} ({100 * row['validation_accuracy']:.1f})" if row else "" for row in found]
        size = statistics.median(row["bytes"] for row in found if row)
        lines.append([rung, changes, *cells, f"{size:,.0f}"])
    text = "Divergence from the teacher on validation, in nats (accuracy there, %); one seed.\n\n"
    files.write_text(folder / "settings.md", text + markdown(headings, lines))


def _changes(row: dict[str, Any]) -> str:
    return ", ".join(f"`{key}` {value}" for key, value in row["changes"].items()) or "none"


def _mean(rows: Rows, key: str = "test_accuracy") -> float:
    return sum(row[key] for row in rows) / len(rows)


def _kept(models: dict[str, Rows]) -> float:
    """Return the student's accuracy as a fraction of its teacher's."""
    return _mean(models["student"]) / _mean(models["student"], "teacher_accuracy")


def _better(rows: Rows) -> bool:
    """Return whether a peer is significantly better than the student in most seeds."""
    return 2 * sum(row["versus_student"]["low"] > 0 for row in rows) > len(rows)


def _median(rows: Rows, key: str) -> float:
    return statistics.median(row[key] for row in rows)


def _ratio(value: float) -> str:
    """Return a ratio with three digits, and all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratios(models: dict[str, Rows], other: str, kind: str | None = None) -> list[float]:
    """Return the student's speed by that of another model, seed by seed; with a `kind`, of students of that kind."""
    return [
        student["texts_per_second"] / row["texts_per_second"]
        for student, row in zip(models["student"], models[other], strict=True)
        if kind in (None, student["kind"])
    ]


def _counts(values: Iterable[str]) -> str:
    """Return values with their numbers, the most frequent first: `ship (2), cannot tell yet (1)`."""
    found = Counter(values).most_common()
    return found[0][0] if len(found) == 1 else ", ".join(f"{value} ({count})" for value, count in found)


def _task(task: str, models: dict[str, Rows]) -> list[str]:
    students = models["student"]
    accuracies = [100 * row["test_accuracy"] for row in students]
    teacher, fasttext = (statistics.median(_ratios(models, name)) for name in ("teacher", "fasttext"))
    seeds = f" ({len(accuracies)}: {min(accuracies):.1f}–{max(accuracies):.1f})" if len(accuracies) > 1 else ""
    return [
        task,
        f"{100 * _mean(models['teacher']):.1f}",
        f"{100 * _mean(students):.1f}{seeds}",
        f"{100 * _kept(models):.1f}",
        _counts(row["rung"] for row in students),
        f"{_median(students, 'bytes'):,.0f}",
        f"{_median(students, 'texts_per_second'):,.0f} ({_ratio(teacher)}, {_ratio(fasttext)})",
        *(f"{100 * _mean(models[name]):.1f}{' ↑' if _better(models[name]) else ''}" for name in PEERS),
        _counts(row["verdict"] for row in students),
    ]


def _short_board(tasks: dict[str, dict[str, Rows]]) -> str:
    """Return the README's table, a row per task, and the sizes of the students."""
    headings = {
        "task": "---", "teacher, %": "---:", "student, %": "---:", "size": "---:",
        "times as fast as the teacher": "---:",
        **dict.fromkeys((PEERS[name] + ", %" for name in SHOWN_PEERS), "---:"), "verdict": "---",
    }  # fmt: skip
    sizes = {task: _median(models["student"], "bytes") for task, models in tasks.items()}
    small = [task for task, number in sizes.items() if number < MEGABYTE]
    large = sorted(number for number in sizes.values() if number >= MEGABYTE)
    seeds = max(len(models["student"]) for models in tasks.values())
    note = f"{seeds} seed{'s' * (seeds != 1)}. Students of kilobytes: {', '.join(small) or 'none'}."
    if large:
        note += f" The others have {table.size(large[0])} to {table.size(large[-1])}."
    lines = markdown(
        headings,
        (
            [
                task,
                f"{100 * _mean(models['teacher']):.1f}",
                f"{100 * _mean(models['student']):.1f}",
                table.size(_median(models["student"], "bytes")),
                _ratio(statistics.median(_ratios(models, "teacher"))),
                *(f"{100 * _mean(models[name]):.1f}" for name in SHOWN_PEERS),
                _counts(row["verdict"] for row in models["student"]),
            ]
            for task, models in tasks.items()
        ),
    )
    return f"{lines}\n{note}\n"


def _summary(tasks: dict[str, dict[str, Rows]]) -> str:
    """Return the board's findings as a list."""
    kept = {task: _kept(models) for task, models in tasks.items()}
    students = [row for models in tasks.values() for row in models["student"]]
    lowest = ", ".join(f"{task} {kept[task]:.1%}" for task in sorted(kept, key=kept.__getitem__)[:2])
    size = statistics.median(_median(models["student"], "bytes") for models in tasks.values())
    costs = [row["seconds"]["student"] / (row["seconds"]["teacher"] + row["seconds"]["label"]) for row in students]
    refused = sum(
        2 * sum(row["verdict"] == "do not ship" for row in models["student"]) > len(models["student"])
        for models in tasks.values()
    )
    better = [f"{PEERS[name]} on {task}" for task, models in tasks.items() for name in PEERS if _better(models[name])]
    kinds = sorted({row["kind"] for row in students})
    speeds = [
        f"{other} = 1: "
        + ", ".join(f"{kind} {_ratio(min(r for m in tasks.values() for r in _ratios(m, key, kind)))}" for kind in kinds)
        for key, other in (("teacher", "teacher"), ("fasttext", "fastText"))
    ]
    lines = [
        f"Accuracy kept: {statistics.mean(kept.values()):.1%} of the teacher's, the mean over tasks ({len(kept)}); "
        f"lowest: {lowest}.",
        f"Size: {size:,.0f} bytes is the median of the tasks.",
        f"Verdicts of {len(students)} runs: {_counts(row['verdict'] for row in students)}; tasks with *do not ship* in "
        f"most seeds: {refused}.",
        f"Peers that are significantly better: {', '.join(better) or 'none'}.",
        f"Time of the ladder: {statistics.mean(costs):.2f} times that of fine-tuning and labelling together, the mean "
        f"of {len(costs)} runs; highest: {max(costs):.2f}.",
        f"Lowest speed of a student by kind of rung; {'; '.join(speeds)}.",
    ]
    if "cola" in tasks:
        scores = (
            f"{name} {100 * _mean(tasks['cola'][name], 'matthews'):.1f}" for name in ("teacher", "student", *PEERS)
        )
        lines.append(f"CoLA, Matthews correlation × 100: {', '.join(scores)}.")
    return "".join(f"- {line}\n" for line in lines)


def _draw_board(tasks: dict[str, dict[str, Rows]], path: Path) -> None:
    """Draw the accuracy that students keep against their size, and that of the rungs of the first seed."""
    with new_figure(path, 8, 4.2) as figure:
        axes = figure.subplots()
        figure.subplots_adjust(left=0.09, right=0.72, top=0.84, bottom=0.13)
        heading(figure, "Accuracy kept against size", "marks: test, mean over the seeds; lines: rungs on validation")
        axes.axhline(100, color="#5f6b78", lw=1)
        for colour, (task, models) in zip(COLOURS, tasks.items(), strict=False):
            size, kept = _median(models["student"], "bytes"), 100 * _kept(models)
            rungs = [rung for rung in models["student"][0]["ladder"] if rung["difference"] is not None]
            shares = [100 * r["validation_accuracy"] / (r["validation_accuracy"] - r["difference"]) for r in rungs]
            axes.plot([rung["bytes"] for rung in rungs], shares, color=colour, alpha=0.35, lw=1, marker=".", ms=3)
            axes.plot(size, kept, "o", color=colour, ms=6, label=f"{task}, {kept:.1f}%")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: table.size(x)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}%"))
        axes.set_xlabel("size of the model file")
        axes.grid(axis="y")
        figure.legend(loc="center left", bbox_to_anchor=(0.73, 0.5))


def drift(rows: Rows, folder: Path) -> None:
    """Write the tables of false alarms and of what drift is found, and of the errors of the expected accuracy."""
    alarms: dict[str, dict[str, list[dict[str, Any]]]] = {}
    errors: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        kind, _, what = row["what"].partition(": ")
        if kind in ("drift", "expected accuracy"):
            found = alarms if kind == "drift" else errors
            found.setdefault(what, {}).setdefault(row["model"], []).append(row)
    models = {"student": "chosen students", "hard": "tables"}
    columns = {f"{name}, %": "---:" for name in models.values()}
    lines = [[what, *(_over_tasks(of.get(model, [])) for model in models)] for what, of in alarms.items()]
    text = markdown({"share of samples that show drift: mean of the tasks (range)": "---", **columns}, lines)
    keys = {
        "held": "expected accuracy", "error_bins": "by bins of confidence", "error_difference": "by mean confidence",
        "error_validation": "validation accuracy",
    }  # fmt: skip
    lines = [
        [
            f"{what}, {models[model]}",
            *(f"{100 * statistics.fmean(row[key] for row in found):.1f}" for key in ("bias", *keys)),
        ]
        for what, of in errors.items()
        for model, found in of.items()
    ]
    headings = {"mean over the tasks, in points": "---", "too high by": "---:"}
    headings |= {f"error, {name}": "---:" for name in keys.values()}
    publish(folder / "drift.md", "drift", f"{text}\n{markdown(headings, lines)}")


def _over_tasks(rows: list[dict[str, Any]]) -> str:
    """Return the mean and the range of what was measured for each task, in percent."""
    shares = [100 * row["held"] for row in rows]
    return f"{statistics.fmean(shares):.1f} ({min(shares):.1f}–{max(shares):.1f})" if shares else ""
