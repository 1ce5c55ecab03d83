/* One image at length: a large picture, what is known of it, all its scores. */
(function (explorer) {
  "use strict";

  const { model, state, format, make, byId, WHOLE } = explorer;
  const dialog = () => byId("panel");

  /* Open an image; each is first seen whole. */
  explorer.open = (place, options) => state.set({ open: place, view: WHOLE }, options);

  function facts(current, place) {
    const each = model.cases[place];
    const rows = [
      ["Modality", model.modalities[each.modality].name],
      ["Experiment", each.experiment + (each.seen === null ? "" : each.seen ? " (seen)" : " (unseen)")],
      ["True cells", format.whole(model.cells(place)) + (Number.isNaN(model.cells(place)) ? "" : " that count")],
      ["Licence", each.licence],
    ];
    return rows
      .filter(([, value]) => value)
      .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  }

  function shownPart(each) {
    if (!each.picture) return "";
    const [width, height] = each.size;
    const [wholeWidth, wholeHeight] = each.of;
    const whole = width === wholeWidth && height === wholeHeight;
    const size = `${width} × ${height} px`;
    if (whole) return `The whole image, ${size}.`;
    return `${size} of ${wholeWidth} × ${wholeHeight} px, where most cells are; left edge at ${each.at[0]}, upper edge at ${each.at[1]} px. Scores are those of the whole image.`;
  }

  function metBefore(method, place) {
    const [level, by] = model.met(method, place);
    if (!level) return null;
    return make("small", { class: "met" }, `had met ${level === "image" ? "it" : "its " + level}: ${by}`);
  }

  function methodRows(current, place) {
    return explorer.compared(current).map((which) => {
      const method = current[which];
      const message = model.message(method, place);
      return make(
        "tr", { class: model.hasMask(method, place) ? null : "failed" },
        make("th", { scope: "row" }, explorer.lettered(current, which), metBefore(method, place)),
        make("td", {}, model.status(method, place), message ? make("small", { class: "message" }, message) : null),
        make("td", { class: "num" }, format.whole(model.predicted(method, place))),
        make("td", { class: "num" }, format.seconds(model.seconds(method, place))),
      );
    });
  }

  function sweep(current, place) {
    const row = (t) => {
      const cells = model.profiles.flatMap((_, profile) => {
        const a = model.f1(profile, t, current.a, place);
        const b = model.f1(profile, t, current.b, place);
        return [format.f1(a), format.f1(b), format.signed(b - a)];
      });
      return make(
        "tr", { "aria-current": t === current.threshold ? "true" : null },
        make("th", { scope: "row", class: "num" }, format.threshold(model.thresholds[t])),
        ...cells.map((text) => make("td", { class: "num" }, text)),
      );
    };
    const spans = model.profiles.map((name) => make("th", { scope: "colgroup", colspan: 3 }, make("span", {}, name)));
    const heads = model.profiles.flatMap(() => ["A", "B", "B − A"]);
    return [
      make("thead", {},
        make("tr", { class: "spans" }, make("td", {}), ...spans),
        make("tr", {}, make("th", { scope: "col", class: "num" }, "IoU ≥"),
          ...heads.map((text) => make("th", { scope: "col", class: "num" }, text)))),
      make("tbody", {}, ...model.thresholds.map((_, t) => row(t))),
    ];
  }

  function everyMethod(current, place) {
    const value = (m) => model.f1(current.profile, current.threshold, m, place);
    const order = model.methods.map((_, m) => m);
    order.sort((i, j) => {
      const [one, other] = [value(i), value(j)];
      return Number.isNaN(one) - Number.isNaN(other) || other - one || i - j;
    });
    return order.map((m) => {
      const f1 = value(m);
      const width = Number.isNaN(f1) ? 0 : f1 * 100;
      return make(
        "li", {},
        make("span", { class: "who" }, explorer.swatch(model.methods[m]), model.methods[m].label),
        make("span", { class: "bar", "aria-hidden": "true" }, make("i", { style: `width:${width}%;background:${model.methods[m].colour}` })),
        make("span", { class: "value" }, format.f1(f1), model.hasMask(m, place) ? null : make("small", {}, " " + model.status(m, place))),
        make("span", { class: "choose" }, explorer.chooser(current, "a", m), explorer.chooser(current, "b", m)),
      );
    });
  }

  function neighbours(place) {
    const order = explorer.tableOrder();
    const at = order.indexOf(place);
    if (at < 0) return { at, before: order[0] ?? -1, after: order[0] ?? -1, order };
    return { at, before: order[at - 1] ?? -1, after: order[at + 1] ?? -1, order };
  }

  function move(name, held) {
    const next = neighbours(state.get().open)[name];
    // A key that is held down runs through many images; Back shall not do so too.
    if (next >= 0) explorer.open(next, { goesOn: held });
  }

  function draw(current) {
    const place = current.open;
    const each = model.cases[place];
    byId("panel-name").textContent = each.name;
    explorer.drawStage(current, place);
    byId("panel-part").textContent = shownPart(each);
    byId("panel-facts").replaceChildren(...facts(current, place));
    byId("panel-methods").replaceChildren(...methodRows(current, place));
    byId("panel-sweep").replaceChildren(...sweep(current, place));
    byId("panel-every").replaceChildren(...everyMethod(current, place));
    const { at, before, after, order } = neighbours(place);
    byId("panel-before").disabled = before < 0;
    byId("panel-after").disabled = after < 0;
    byId("panel-place").textContent = at < 0 ? "not under the present filters" : `${at + 1} of ${order.length}`;
    byId("panel-every-title").textContent =
      "All methods on this image, F1 at IoU ≥ " + format.threshold(model.thresholds[current.threshold]) +
      ", profile " + model.profiles[current.profile];
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input:not([type=checkbox]), select")) return;
    const key = event.key.toLowerCase();
    if (explorer.viewerKey(event)) event.preventDefault();
    else if (key === "p" || event.key === "ArrowLeft") move("before", event.repeat);
    else if (key === "n" || event.key === "ArrowRight") move("after", event.repeat);
  }

  explorer.buildPanel = function buildPanel() {
    byId("panel-close").addEventListener("click", () => dialog().close());
    byId("panel-before").addEventListener("click", () => move("before"));
    byId("panel-after").addEventListener("click", () => move("after"));
    dialog().addEventListener("close", () => {
      if (state.get().open >= 0) explorer.open(-1);
    });
    dialog().addEventListener("pointerdown", (event) => {
      // A press beside the panel lands on the dialog itself.
      if (event.target === dialog()) dialog().close();
    });
    dialog().addEventListener("keydown", onKey);
  };

  explorer.drawPanel = function drawPanel(current, changed) {
    const open = current.open >= 0;
    if (!open) {
      if (dialog().open) dialog().close();
      return;
    }
    const fresh = !dialog().open;
    if (fresh) dialog().showModal();
    const focused = document.activeElement?.getAttribute?.("data-choice");
    draw(current);
    if (fresh || changed.has("open")) byId("panel-body").scrollTop = 0;
    // Choosing a method in the panel draws its list anew.
    if (!fresh && focused) dialog().querySelector(`[data-choice="${focused}"]`)?.focus();
  };
})(window.explorer);
