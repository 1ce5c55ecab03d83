"""What methods remark on cases that have a mask is counted in the report."""

from __future__ import annotations

import json

import pandas as pd

from cellharness.report.comparison import load_comparison
from cellharness.report.comparison.cases import remark_table
from cellharness.tables import read_table


def test_remarks_are_counted_by_method(make_run):
    folder = make_run()
    assert remark_table(load_comparison(folder)) is None
    ledger = read_table(folder / "ledger.csv", None)
    method = ledger["method"].iloc[0]
    chosen = ledger.index[ledger["method"] == method][:2]
    ledger.loc[chosen, "details"] = json.dumps({"diameter": 30, "remark": "the image is flat"})
    ledger.to_csv(folder / "ledger.csv", index=False)
    table = remark_table(load_comparison(folder))
    assert table is not None
    (row,) = table.frame.to_dict("records")
    assert (row["method"], row["remark"], row["n"]) == (method, "the image is flat", 2)
    assert row["cases"].split() == ledger.loc[chosen, "case"].tolist()
    assert isinstance(table.frame, pd.DataFrame)
