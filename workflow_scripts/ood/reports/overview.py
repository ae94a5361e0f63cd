"""One page with every pair, to be sorted and searched in a browser."""

from html import escape

import pandas as pd
from itables import options, to_html_datatable
from itables.javascript import generate_init_offline_itables_html

from ood.evaluation.tables import joined_flags, outward


def overview_table(
    metrics: pd.DataFrame, published: pd.DataFrame, orders: dict[str, list[str]]
) -> pd.DataFrame:
    """Every pair in a row to be read: AUROC and FPR95 in percent, averaged over seeds, and the
    published AUROC, of the same protocol where there is one. By benchmark and group of OOD sets,
    and there the methods with the highest mean AUROC on top.

    :param metrics: at least one seed of each pair
    :param published: see ``tables.published_table``
    :param orders: the groups of each benchmark, in order
    """
    keys = ["benchmark", "scale", "group", "ood_set", "method", "protocol"]
    grouped = metrics.groupby(keys, sort=False, dropna=False)
    means = 100 * grouped[["auroc", "auroc_low", "auroc_high", "fpr95", "id_accuracy"]].mean()
    table = means.round(2).reset_index()
    table.insert(7, "auroc_sd", (100 * grouped["auroc"].std()).round(2).to_numpy())
    table["seeds"] = grouped.size().to_numpy()
    known = published.dropna(subset="published").query("metric == 'auroc'")
    theirs: dict[tuple, dict] = {}
    for row in known.itertuples():
        cell = row.benchmark, row.method, row.ood_set
        marked = row.protocol + ", unchecked" * (row.confidence != "verified")
        theirs.setdefault(cell, {})[row.protocol] = round(100 * row.published, 2), marked
    for index, row in table.iterrows():
        found = theirs.get((row["benchmark"], row["method"], row["ood_set"]), {})
        chosen = row["protocol"] if row["protocol"] in found else next(iter(found), None)
        value, marked = found.get(chosen, (float("nan"), None))
        table.loc[index, "published"] = value
        table.loc[index, "published_protocol"] = marked
    table["difference"] = (table["auroc"] - table["published"]).round(2)
    table["flags"] = grouped["flags"].agg(joined_flags).to_numpy()
    return _in_order(table, orders)


def _in_order(table: pd.DataFrame, orders: dict[str, list[str]]) -> pd.DataFrame:
    place = [
        orders[row.benchmark].index(row.group) if row.group in orders[row.benchmark] else 99
        for row in table.itertuples()
    ]
    of_method = ["benchmark", "scale", "group", "method", "protocol"]
    mean = table.groupby(of_method, dropna=False)["auroc"].transform("mean")
    by = ["benchmark", "scale", "place", "mean", "method", "protocol"]
    return (
        table.assign(place=place, mean=-mean)
        .sort_values(by, kind="stable", ignore_index=True)
        .drop(columns=["place", "mean"])
    )


def overview_page(overview: pd.DataFrame) -> str:
    """The overview as an HTML page that sorts and searches, without a network."""
    counted = overview["flags"].str.split("; ").explode().value_counts()
    noted = [f"<li>{escape(flag)}: {count} pairs</li>" for flag, count in counted.items() if flag]
    shown = overview.drop(columns=["auroc_low", "auroc_high"])
    intervals = overview[["auroc_low", "auroc_high"]].itertuples(index=False)
    shown.insert(7, "95 % interval", [outward(low / 100, high / 100) for low, high in intervals])
    heads = {"ood_set": "OOD set", "auroc": "AUROC", "auroc_sd": "± over seeds", "fpr95": "FPR95"}
    heads |= {"id_accuracy": "ID accuracy", "published_protocol": "published as"}
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><title>All pairs</title>',
            "<style>body {font: 14px sans-serif; margin: 1em} table {font-size: 13px}",
            # flags are long
            "table.dataTable.nowrap td:last-child {white-space: normal; min-width: 25em}</style>",
            "</head><body><h1>All pairs</h1>",
            f"<p>{len(overview)} pairs of method and OOD set. Click a head to sort, type to "
            "search. Percent; intervals are over test images. “Published as” is how the "
            "published number was chosen; a difference across protocols is no finding. An "
            "“unchecked” number was recalled from memory or quoted at second hand.</p>",
            *(["<p>Flagged:</p><ul>", *noted, "</ul>"] if noted else ["<p>Nothing flagged.</p>"]),
            _sortable(shown.rename(columns=heads).dropna(axis=1, how="all")),
            "</body></html>",
        ]
    )


def _sortable(table: pd.DataFrame) -> str:
    texts = table.select_dtypes(exclude="number").columns
    table = table.fillna(dict.fromkeys(texts, ""))
    library = generate_init_offline_itables_html(options.dt_bundle)
    shown = to_html_datatable(
        table,
        connected=False,
        maxBytes=0,
        showIndex=False,
        lengthMenu=[25, 100, 1000],
        # as it comes, until a head is clicked
        order=[],
        # a click on the text sorts too
        text_in_header_can_be_selected=False,
    )
    # what is shown, not what is sorted by
    return library + shown.replace('[\\"NaN\\",', '[\\"–\\",')
