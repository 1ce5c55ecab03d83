/* Beside the plot: the image under the pointer or under the keyboard's mark. */
(function (explorer) {
  "use strict";

  const { model, format, make } = explorer;
  let timer = 0;
  let shown = "";

  function facts(state, place, more) {
    const each = model.cases[place];
    const { a, b, difference } = explorer.scoresOf(state, place);
    const row = (key, method, value) =>
      make(
        "li", {},
        explorer.key(key), model.methods[method].label + " ",
        make("b", {}, format.f1(value)),
        model.hasMask(method, place) ? null : make("small", {}, " no mask: " + model.status(method, place)),
      );
    return [
      make("h3", {}, each.name),
      make("p", { class: "note" }, [model.modalities[each.modality].name, each.experiment].filter(Boolean).join(", ")),
      make("ul", { class: "pair" }, row("a", state.a, a), row("b", state.b, b)),
      make("p", { class: "note" }, "B − A " + format.signed(difference) +
        (more ? " · " + format.count(more, "more image") + " at this point; arrow keys step through them" : "")),
    ];
  }

  /* A short piece of line as it is drawn in pictures. */
  explorer.key = function key(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 26 10");
    svg.setAttribute("class", "key " + name);
    svg.setAttribute("aria-hidden", "true");
    for (const kind of ["casing", "line"]) {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("class", kind);
      path.setAttribute("d", "M1 5H25");
      svg.append(path);
    }
    return svg;
  };

  explorer.drawPreview = function drawPreview(state, place, more) {
    const box = document.getElementById("preview");
    window.clearTimeout(timer);
    if (place < 0) {
      shown = "";
      box.replaceChildren(make("p", { class: "empty" },
        "Point at an image in the plot, or press an arrow key there, to see it here; click or press Enter for more."));
      return;
    }
    const view = [place, state.a, state.b, state.threshold, state.profile, more].join(" ");
    if (view === shown) return;
    shown = view;
    const frame = make("div", { class: "stage" });
    box.replaceChildren(frame, ...facts(state, place, more));
    // A pointer on its way passes many points.
    timer = window.setTimeout(() => frame.replaceChildren(explorer.picture(state, place)), 50);
  };
})(window.explorer);
