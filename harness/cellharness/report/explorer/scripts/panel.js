/* One image at length: a large picture, what is known of it, all its scores. */
(function (explorer) {
  "use strict";

  const { model, state, format, make } = explorer;
  const layers = { truth: true, a: true, b: true };
  const dialog = () => document.getElementById("panel");
  const byId = (id) => document.getElementById(id);

  function facts(current, place) {
    const each = model.cases[place];
    const rows = [
      ["Modality", model.modalities[each.modality].name],
      ["Experiment", each.experiment + (each.seen === null ? "" : each.seen ? " (seen in training)" : " (not seen in training)")],
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

  function methodRows(current, place) {
    return [["a", current.a], ["b", current.b]].map(([key, method]) => {
      const failed = !model.hasMask(method, place);
      const message = model.message(method, place);
      return make(
        "tr", { class: failed ? "failed" : null },
        make("th", { scope: "row" }, explorer.key(key), model.methods[method].label),
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
    const choose = (key, method, word) => {
      const button = make("button", {
        type: "button",
        "aria-pressed": current[key] === method ? "true" : "false",
        "aria-label": model.methods[method].label + " as " + word,
      }, word);
      button.addEventListener("click", () => state.set({ [key]: method }));
      return button;
    };
    return order.map((m) => {
      const f1 = value(m);
      const width = Number.isNaN(f1) ? 0 : f1 * 100;
      return make(
        "li", {},
        make("span", { class: "who" }, explorer.swatch(model.methods[m]), model.methods[m].label),
        make("span", { class: "bar", "aria-hidden": "true" }, make("i", { style: `width:${width}%;background:${model.methods[m].colour}` })),
        make("span", { class: "value" }, format.f1(f1), model.hasMask(m, place) ? null : make("small", {}, " " + model.status(m, place))),
        make("span", { class: "choose" }, choose("a", m, "A"), choose("b", m, "B")),
      );
    });
  }

  function applyLayers() {
    for (const [name, on] of Object.entries(layers)) {
      byId("panel-picture").classList.toggle("hide-" + name, !on);
    }
  }

  function neighbours(place) {
    const order = explorer.tableOrder();
    const at = order.indexOf(place);
    if (at < 0) return { at, before: order[0] ?? -1, after: order[0] ?? -1, order };
    return { at, before: order[at - 1] ?? -1, after: order[at + 1] ?? -1, order };
  }

  function move(name) {
    const next = neighbours(state.get().open)[name];
    if (next >= 0) state.set({ open: next });
  }

  function draw(current) {
    const place = current.open;
    const each = model.cases[place];
    byId("panel-name").textContent = each.name;
    byId("panel-picture").replaceChildren(
      explorer.picture(current, place, {
        problems(found) {
          const texts = found
            .map((text, i) => (text ? model.methods[i ? current.b : current.a].label + ": no outline, " + text : ""))
            .filter(Boolean);
          byId("panel-problems").textContent = texts.join("; ");
        },
      }),
    );
    byId("panel-problems").textContent = "";
    byId("panel-layers").hidden = !each.picture;
    applyLayers();
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

  explorer.buildPanel = function buildPanel() {
    byId("panel-close").addEventListener("click", () => dialog().close());
    byId("panel-before").addEventListener("click", () => move("before"));
    byId("panel-after").addEventListener("click", () => move("after"));
    for (const name of Object.keys(layers)) {
      byId("layer-" + name).addEventListener("change", (event) => {
        layers[name] = event.target.checked;
        applyLayers();
      });
    }
    dialog().addEventListener("close", () => state.set({ open: -1 }));
    dialog().addEventListener("click", (event) => {
      // A click beside the panel lands on the dialog itself.
      if (event.target === dialog()) dialog().close();
    });
    dialog().addEventListener("keydown", (event) => {
      if (event.target.closest("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "ArrowLeft") move("before");
      else if (event.key === "ArrowRight") move("after");
    });
  };

  explorer.drawPanel = function drawPanel(current, changed) {
    const open = current.open >= 0;
    if (!open) {
      if (dialog().open) dialog().close();
      return;
    }
    const fresh = !dialog().open;
    if (fresh) dialog().showModal();
    const focused = document.activeElement?.getAttribute?.("aria-label");
    draw(current);
    if (fresh || changed.has("open")) byId("panel-body").scrollTop = 0;
    // Choosing a method in the panel draws its list anew.
    if (!fresh && focused && !document.activeElement?.getAttribute("aria-label")) {
      [...dialog().querySelectorAll("button")].find((each) => each.getAttribute("aria-label") === focused)?.focus();
    }
  };
})(window.explorer);
