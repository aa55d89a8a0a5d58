"""What `benchmark_accelerator.py` measured, as Markdown."""

from collections.abc import Mapping

from benchmark_report import where


def section(report: Mapping[str, object]) -> str:
    """The tables and what they hold for, as Markdown."""
    return "\n".join(
        [
            "| network | batch | what | images/s | quartiles | share of the peak |",
            "|---|---|---|--:|--:|--:|",
            *(_network_line(row) for row in report["networks"]),
            "",
            "| trainings | one after the other, ms | stacked, ms | times faster |",
            "|--:|--:|--:|--:|",
            *(_seeds_line(row) for row in report["seeds"]),
            "",
            f"Measured on {report['device']}, whose peak is {report['peak'] / 1e12:.3g} TFLOP/s in "
            f"{report['dtype']} (products of {report['peak_size']} rows). Images a second: medians "
            f"and quartiles over {report['repeats']} rounds of {report['steps']} steps in one "
            "compiled loop, data on the device, forward, backward and SGD with momentum. Share of "
            "the peak: three times the multiply-adds of the forward pass, two operations each. "
            "Trainings: milliseconds in which each of them takes a step of "
            f"{report['study_network']}, batch 128, float32. {where(report)}",
        ]
    )


def _network_line(row: Mapping[str, object]) -> str:
    low, high = row["quartiles"]
    batch = " x ".join(map(str, row["batch"]))
    return (
        f"| {row['network']} | {batch} | {row['what']} | {row['images_a_second']:,.0f} | "
        f"{low:,.0f} to {high:,.0f} | {row['share_of_peak']:.1%} |"
    )


def _seeds_line(row: Mapping[str, object]) -> str:
    times = row["milliseconds"]
    return (
        f"| {row['seeds']} | {times['one_by_one']:.2f} | {times['stacked']:.2f} | "
        f"{row['times_faster']:.2f} |"
    )
