/* All images as a table; only the rows in sight exist. */
(function (explorer) {
  "use strict";

  const { model, state, format, make } = explorer;
  const names = new Intl.Collator("en", { numeric: true });
  const ROW = 32;
  const BEYOND = 8;

  const SEEN_KNOWN = model.cases.some((each) => each.seen !== null);

  let order = [];
  let columns = [];
  let active = -1;
  let drawn = "";

  /* `name` is that of the column in the csv. */
  function column(key, name, title, width, value, text, options = {}) {
    return { key, name, title, width, value, text: text || value, ...options };
  }

  function twoColumns(current) {
    const score = (which) => (place) => explorer.scoresOf(current, place)[which];
    const number = { number: true };
    const [a, b] = [current.a, current.b];
    const label = (method) => model.methods[method].label;
    const named = (measure, which) => `${measure}_${which}_${model.methods[current[which]].name}`;
    return [
      column("a", named("f1", "a"), ["F1 of A", label(a)], 7.5, score("a"), (p) => format.f1(score("a")(p)), number),
      column("b", named("f1", "b"), ["F1 of B", label(b)], 7.5, score("b"), (p) => format.f1(score("b")(p)), number),
      column("difference", "difference_b_less_a", ["B − A"], 5, score("difference"), (p) => format.signed(score("difference")(p)), number),
      column("status-a", named("status", "a"), ["Status", "A"], 5, (p) => model.status(a, p)),
      column("status-b", named("status", "b"), ["Status", "B"], 5, (p) => model.status(b, p)),
      ...(model.anyMet
        ? ["a", "b"].map((which) =>
            column("met-" + which, named("met", which), ["Had met", which.toUpperCase()], 5.5, (p) => model.met(current[which], p)[0]))
        : []),
      column("seconds-a", named("seconds", "a"), ["Seconds", "A"], 5.5, (p) => model.seconds(a, p), (p) => format.seconds(model.seconds(a, p)), number),
      column("seconds-b", named("seconds", "b"), ["Seconds", "B"], 5.5, (p) => model.seconds(b, p), (p) => format.seconds(model.seconds(b, p)), number),
    ];
  }

  function allColumns(current) {
    return model.methods.map((method, m) => {
      const value = (place) => model.f1(current.profile, current.threshold, m, place);
      const text = (place) =>
        model.hasMask(m, place) ? format.f1(value(place)) : format.f1(value(place)) + " " + model.status(m, place);
      return column("m-" + method.name, "f1_" + method.name, ["F1", method.label], 7.5, value, text, { number: true });
    });
  }

  const seen = (place) => ({ true: "yes", false: "no" })[model.cases[place].seen] || "";

  /* Wide enough for the longest text, within bounds; in rem. */
  function widthOf(texts) {
    const longest = Math.max(...texts.map((text) => text.length));
    return Math.min(13, Math.max(6, 1 + 0.5 * longest));
  }

  function allOf(current) {
    return [
      column("case", "case", ["Image"], widthOf(model.cases.map((each) => each.name)), (p) => model.cases[p].name),
      column("modality", "modality", ["Modality"], 7.5, (p) => model.modalities[model.cases[p].modality].name),
      column("experiment", "experiment", ["Experiment"], widthOf(model.experiments), (p) => model.cases[p].experiment),
      ...(SEEN_KNOWN ? [column("seen", "seen", ["Seen", "experiment"], 5, seen)] : []),
      column("cells", "n_true", ["Cells"], 4.5, (p) => model.cells(p), (p) => format.whole(model.cells(p)), { number: true }),
      ...(current.wide ? allColumns(current) : twoColumns(current)),
    ];
  }

  /* Sort; images without a value stand last either way, equal ones in the order of their names. */
  explorer.sorted = function sorted(places, { value, number }, down) {
    const sign = down ? -1 : 1;
    return places
      .map((place) => [value(place), place])
      .sort(([one, i], [other, j]) => {
        let found;
        if (number) {
          if (Number.isNaN(one) || Number.isNaN(other)) found = Number.isNaN(one) - Number.isNaN(other);
          else found = sign * (one - other);
        } else found = sign * names.compare(one, other);
        return found || names.compare(model.cases[i].name, model.cases[j].name) || i - j;
      })
      .map(([, place]) => place);
  };

  function head(current) {
    const row = document.querySelector("#table thead tr");
    const group = document.querySelector("#table colgroup");
    group.replaceChildren(...columns.map((each) => make("col", { style: "width:" + each.width + "rem" })));
    const table = explorer.byId("table");
    table.style.width = columns.reduce((sum, each) => sum + each.width, 0) + "rem";
    table.setAttribute("aria-colcount", columns.length);
    const focused = row.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    row.replaceChildren(
      ...columns.map((each) => {
        const chosen = current.sort === each.key;
        const direction = current.down ? "descending" : "ascending";
        const [first, second] = each.title;
        const button = make(
          "button", { type: "button", "data-key": each.key, title: each.title.join(" ") },
          make("span", { class: "title" }, first, second ? make("small", {}, " " + second) : null),
          make("span", { class: "arrow", "aria-hidden": "true" }, chosen ? (current.down ? "▼" : "▲") : ""),
        );
        button.addEventListener("click", () => {
          const now = state.get();
          const again = now.sort === each.key;
          state.set({ sort: each.key, down: again ? !now.down : Boolean(each.number) });
        });
        return make("th", { scope: "col", class: each.number ? "num" : null, "aria-sort": chosen ? direction : null }, button);
      }),
    );
    if (focused) row.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  function line(place, position, current) {
    const cells = columns.map((each, i) => {
      const tag = i === 0 ? "th" : "td";
      const text = String(each.text(place)) || format.NOTHING;
      const left = text === "left out" || (each.number && !/^[\d+−–]/.test(text));
      return make(tag, {
        scope: i === 0 ? "row" : null,
        class: [each.number ? "num" : "", left ? "absent" : ""].join(" ").trim() || null,
        title: each.number ? null : text,
      }, text);
    });
    const failed = !model.hasMask(current.a, place) || !model.hasMask(current.b, place);
    return make("tr", {
      tabindex: position === Math.max(0, active) ? "0" : "-1",
      "data-position": position,
      "data-case": model.cases[place].name,
      "aria-rowindex": position + 2,
      "aria-selected": current.open === place ? "true" : "false",
      class: failed ? "failed" : null,
    }, ...cells);
  }

  function spacer(rows) {
    const row = make("tr", { class: "spacer", "aria-hidden": "true" });
    row.append(make("td", { colspan: columns.length, style: "height:" + rows * ROW + "px" }));
    return row;
  }

  function drawRows(force) {
    const box = explorer.byId("table-box");
    const current = state.get();
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - BEYOND);
    const last = Math.min(order.length, first + Math.ceil(box.clientHeight / ROW) + 2 * BEYOND);
    const span = first + " " + last;
    if (!force && span === drawn) return;
    drawn = span;
    const body = document.querySelector("#table tbody");
    const focused = body.contains(document.activeElement);
    const rows = [];
    for (let i = first; i < last; i += 1) rows.push(line(order[i], i, current));
    // The row that the Tab key leads to must exist, even far out of sight.
    if (active >= 0 && (active < first || active >= last)) {
      rows.forEach((row) => row.setAttribute("tabindex", "-1"));
      (rows[0] || body).setAttribute("tabindex", "0");
    }
    body.replaceChildren(spacer(first), ...rows, spacer(order.length - last));
    if (focused) body.querySelector(`[data-position="${active}"]`)?.focus({ preventScroll: true });
  }

  function goTo(position) {
    if (!order.length) return;
    active = Math.min(order.length - 1, Math.max(0, position));
    const box = explorer.byId("table-box");
    const covered = document.querySelector("#table thead").offsetHeight;
    const top = active * ROW;
    if (top < box.scrollTop) box.scrollTop = top;
    if (top + ROW + covered > box.scrollTop + box.clientHeight) {
      box.scrollTop = top + ROW + covered - box.clientHeight;
    }
    drawRows(true);
    document.querySelector(`#table [data-position="${active}"]`)?.focus({ preventScroll: true });
  }

  function onKey(event) {
    const row = event.target.closest("tr[data-position]");
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = Number(row.dataset.position);
    const page = Math.max(1, Math.floor(explorer.byId("table-box").clientHeight / ROW) - 2);
    const moves = {
      ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page,
      Home: 0, End: order.length - 1,
    };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      active = at;
      explorer.open(order[at]);
    } else if (event.key in moves) {
      event.preventDefault();
      goTo(moves[event.key]);
    }
  }

  /* The table as it stands, every row of it, as csv: numbers unrounded, nothing where there is
     no value. */
  explorer.csv = function csv(current) {
    const { profiles, thresholds } = model;
    const about = [["profile", profiles[current.profile]], ["threshold", format.threshold(thresholds[current.threshold])]];
    const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const written = (value) => {
      if (typeof value !== "number") return quoted(String(value));
      // Scores are kept in single precision.
      return Number.isNaN(value) ? "" : String(Number(value.toPrecision(7)));
    };
    const row = (values) => values.join(",");
    const head = [...columns.map((each) => each.name), ...about.map(([name]) => name)].map(quoted);
    const lines = order.map((place) =>
      row([...columns.map((each) => written(each.value(place))), ...about.map(([, value]) => quoted(value))]));
    return [row(head), ...lines].join("\n") + "\n";
  };

  function download() {
    const file = new Blob([explorer.csv(state.get())], { type: "text/csv;charset=utf-8" });
    const link = make("a", { href: URL.createObjectURL(file), download: "images.csv" });
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  explorer.buildTable = function buildTable() {
    const box = explorer.byId("table-box");
    const body = document.querySelector("#table tbody");
    box.addEventListener("scroll", () => window.requestAnimationFrame(() => drawRows(false)));
    new ResizeObserver(() => drawRows(false)).observe(box);
    body.addEventListener("keydown", onKey);
    body.addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-position]");
      if (!row) return;
      active = Number(row.dataset.position);
      row.focus({ preventScroll: true });
      explorer.open(order[active]);
    });
    const wide = explorer.byId("wide");
    wide.addEventListener("change", () => state.set({ wide: wide.checked }));
    explorer.byId("csv").addEventListener("click", download);
  };

  explorer.drawTable = function drawTable(current, places) {
    columns = allOf(current);
    const by = columns.find((each) => each.key === current.sort) || columns[0];
    const kept = active >= 0 ? order[active] : -1;
    order = explorer.sorted(places, by, current.down);
    active = order.indexOf(kept);
    explorer.byId("wide").checked = current.wide;
    explorer.byId("table").setAttribute("aria-rowcount", order.length + 1);
    explorer.byId("no-rows").hidden = order.length > 0;
    explorer.byId("table-box").hidden = order.length === 0;
    const csv = explorer.byId("csv");
    csv.disabled = order.length === 0;
    csv.textContent = "Download " + format.count(order.length, "row") + " as csv";
    head(current);
    drawRows(true);
  };

  /* The images as the table has them, for going from one to the next. */
  explorer.tableOrder = () => order;
})(window.explorer);
