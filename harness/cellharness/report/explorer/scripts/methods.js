/* Every method over the images under the present filters. */
(function (explorer) {
  "use strict";

  const { model, state, format, make } = explorer;
  const names = new Intl.Collator("en", { numeric: true });
  const d3 = window.d3;

  const COLUMNS = [
    { key: "method", title: "Method", value: (row) => model.methods[row.method].label },
    { key: "median", title: "Median F1", number: true, value: (row) => row.median },
    { key: "mean", title: "Mean F1", number: true, value: (row) => row.mean },
    { key: "n", title: "Images", number: true, value: (row) => row.n },
    { key: "failed", title: "Without a mask", number: true, value: (row) => row.failed },
    { key: "seconds", title: "Median seconds", number: true, value: (row) => row.seconds },
  ];

  /* Medians and means of the images that have a value; `n` is how many have an F1. */
  explorer.methodRow = function methodRow(current, method, places) {
    const known = (values) => values.filter((value) => !Number.isNaN(value));
    const f1 = known(places.map((place) => model.f1(current.profile, current.threshold, method, place)));
    const seconds = known(places.map((place) => model.seconds(method, place)));
    return {
      method,
      n: f1.length,
      median: d3.median(f1) ?? NaN,
      mean: d3.mean(f1) ?? NaN,
      failed: places.filter((place) => !model.hasMask(method, place)).length,
      seconds: d3.median(seconds) ?? NaN,
    };
  };

  function sorted(rows, column, down) {
    const sign = down ? -1 : 1;
    return [...rows].sort((one, other) => {
      const [i, j] = [column.value(one), column.value(other)];
      if (!column.number) return sign * names.compare(i, j) || one.method - other.method;
      return Number.isNaN(i) - Number.isNaN(j) || sign * (i - j) || one.method - other.method;
    });
  }

  function line(current, row) {
    const { label } = model.methods[row.method];
    const mean = Number.isNaN(row.mean) ? 0 : row.mean * 100;
    const number = (text) => make("td", { class: "num" }, text);
    return make(
      "tr", { "data-method": model.methods[row.method].name },
      make("th", { scope: "row" }, explorer.swatch(model.methods[row.method]), label),
      number(Number.isNaN(row.median) ? format.NOTHING : row.median.toFixed(3)),
      make("td", { class: "num" },
        make("span", { class: "bar", "aria-hidden": "true" },
          make("i", { style: `width:${mean}%;background:${model.methods[row.method].colour}` })),
        Number.isNaN(row.mean) ? format.NOTHING : row.mean.toFixed(3)),
      number(format.whole(row.n)),
      number(format.whole(row.failed)),
      number(format.seconds(row.seconds)),
      make("td", { class: "choose" }, explorer.chooser(current, "a", row.method), explorer.chooser(current, "b", row.method)),
    );
  }

  function head(current, column) {
    const cells = COLUMNS.map((each) => {
      const chosen = each === column;
      const button = make("button", { type: "button", "data-key": each.key },
        make("span", {}, each.title),
        make("span", { class: "arrow", "aria-hidden": "true" }, chosen ? (current.methodsDown ? "▼" : "▲") : ""));
      button.addEventListener("click", () => {
        const again = state.get().methodsBy === each.key;
        state.set({
          methodsBy: each.key,
          methodsDown: again ? !state.get().methodsDown : Boolean(each.number),
        });
      });
      const direction = current.methodsDown ? "descending" : "ascending";
      return make("th", { scope: "col", class: each.number ? "num" : null, "aria-sort": chosen ? direction : null }, button);
    });
    return make("tr", {}, ...cells, make("th", { scope: "col" }, "Compare as"));
  }

  explorer.drawMethods = function drawMethods(current, places) {
    const table = explorer.byId("methods-table");
    const focused = table.contains(document.activeElement) ? { ...document.activeElement.dataset } : null;
    const column = COLUMNS.find((each) => each.key === current.methodsBy) || COLUMNS[1];
    const rows = model.methods.map((_, method) => explorer.methodRow(current, method, places));
    table.tHead.replaceChildren(head(current, column));
    table.tBodies[0].replaceChildren(...sorted(rows, column, current.methodsDown).map((row) => line(current, row)));
    // Drawn anew, the button that was pressed has the focus again.
    if (!focused) return;
    const again = [...table.querySelectorAll("button")].find(
      (each) => each.dataset.key === focused.key && each.dataset.choice === focused.choice,
    );
    if (again) again.focus({ preventScroll: true });
  };
})(window.explorer);
