/* All images as a table; only the rows in sight exist. */
(function (explorer) {
  "use strict";

  const { model, state, format, make } = explorer;
  const names = new Intl.Collator("en", { numeric: true });
  const ROW = 32;
  const BEYOND = 8;

  let order = [];
  let columns = [];
  let active = -1;
  let drawn = "";

  function column(key, title, width, value, text, options = {}) {
    return { key, title, width, value, text: text || value, ...options };
  }

  function twoColumns(current) {
    const score = (which) => (place) => explorer.scoresOf(current, place)[which];
    const number = { number: true };
    const [a, b] = [current.a, current.b];
    const label = (method) => model.methods[method].label;
    return [
      column("a", ["F1 of A", label(a)], 7.5, score("a"), (p) => format.f1(score("a")(p)), number),
      column("b", ["F1 of B", label(b)], 7.5, score("b"), (p) => format.f1(score("b")(p)), number),
      column("difference", ["B − A"], 5, score("difference"), (p) => format.signed(score("difference")(p)), number),
      column("status-a", ["Status", "A"], 6, (p) => model.status(a, p)),
      column("status-b", ["Status", "B"], 6, (p) => model.status(b, p)),
      column("seconds-a", ["Seconds", "A"], 5.5, (p) => model.seconds(a, p), (p) => format.seconds(model.seconds(a, p)), number),
      column("seconds-b", ["Seconds", "B"], 5.5, (p) => model.seconds(b, p), (p) => format.seconds(model.seconds(b, p)), number),
    ];
  }

  function allColumns(current) {
    return model.methods.map((method, m) => {
      const value = (place) => model.f1(current.profile, current.threshold, m, place);
      const text = (place) =>
        model.hasMask(m, place) ? format.f1(value(place)) : format.f1(value(place)) + " " + model.status(m, place);
      return column("m-" + method.name, ["F1", method.label], 7.5, value, text, { number: true });
    });
  }

  /* Wide enough for the longest text, within bounds; in rem. */
  function widthOf(texts) {
    const longest = Math.max(...texts.map((text) => text.length));
    return Math.min(13, Math.max(6, 1 + 0.5 * longest));
  }

  function allOf(current) {
    return [
      column("case", ["Image"], widthOf(model.cases.map((each) => each.name)), (p) => model.cases[p].name),
      column("modality", ["Modality"], 7.5, (p) => model.modalities[model.cases[p].modality].name),
      column("experiment", ["Experiment"], widthOf(model.experiments), (p) => model.cases[p].experiment),
      column("cells", ["Cells"], 4.5, (p) => model.cells(p), (p) => format.whole(model.cells(p)), { number: true }),
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
    const table = document.getElementById("table");
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
        return make("th", { scope: "col", class: each.number ? "num" : null, "aria-sort": chosen ? direction : "none" }, button);
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
    const box = document.getElementById("table-box");
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
    const box = document.getElementById("table-box");
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
    const page = Math.max(1, Math.floor(document.getElementById("table-box").clientHeight / ROW) - 2);
    const moves = {
      ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page,
      Home: 0, End: order.length - 1,
    };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      active = at;
      state.set({ open: order[at] });
    } else if (event.key in moves) {
      event.preventDefault();
      goTo(moves[event.key]);
    }
  }

  explorer.buildTable = function buildTable() {
    const box = document.getElementById("table-box");
    const body = document.querySelector("#table tbody");
    box.addEventListener("scroll", () => window.requestAnimationFrame(() => drawRows(false)));
    new ResizeObserver(() => drawRows(false)).observe(box);
    body.addEventListener("keydown", onKey);
    body.addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-position]");
      if (!row) return;
      active = Number(row.dataset.position);
      row.focus({ preventScroll: true });
      state.set({ open: order[active] });
    });
    const wide = document.getElementById("wide");
    wide.addEventListener("change", () => state.set({ wide: wide.checked }));
  };

  explorer.drawTable = function drawTable(current, places) {
    columns = allOf(current);
    const by = columns.find((each) => each.key === current.sort) || columns[0];
    const kept = active >= 0 ? order[active] : -1;
    order = explorer.sorted(places, by, current.down);
    active = order.indexOf(kept);
    document.getElementById("wide").checked = current.wide;
    document.getElementById("table").setAttribute("aria-rowcount", order.length + 1);
    document.getElementById("no-rows").hidden = order.length > 0;
    head(current);
    drawRows(true);
  };

  /* The images as the table has them, for going from one to the next. */
  explorer.tableOrder = () => order;
})(window.explorer);
