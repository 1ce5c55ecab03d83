/* Beside the plot: the image under the pointer or under the keyboard's mark. */
(function (explorer) {
  "use strict";

  const { model, format, make } = explorer;
  let timer = 0;
  let shown = "";

  function facts(current, place, more, chosen) {
    const each = model.cases[place];
    const scores = explorer.scoresOf(current, place);
    const row = (which) => {
      const method = current[which];
      return make(
        "li", {},
        explorer.lettered(current, which), " ",
        make("b", {}, format.f1(scores[which])),
        model.hasMask(method, place) ? null : make("small", {}, " no mask: " + model.status(method, place)),
      );
    };
    const open = make("button", { type: "button" }, "Open");
    open.addEventListener("click", () => explorer.open(place));
    return [
      make("h3", {}, each.name),
      make("p", { class: "note" }, [model.modalities[each.modality].name, each.experiment].filter(Boolean).join(", ")),
      make("ul", { class: "pair" }, row("a"), row("b")),
      make("p", { class: "note" }, "B − A " + format.signed(scores.difference) +
        (more ? " · " + format.count(more, "more image") + " at this point; arrow keys step through them" : "")),
      make("p", {}, open),
      chosen ? null : make("p", { class: "note" },
        "Of the images that may be shown, A and B differ most on this one. Point at others in the plot, or press an arrow key there."),
    ].filter(Boolean);
  }

  function panes(current, place) {
    if (!model.cases[place].picture) return [explorer.picture(current, place, "a")];
    return explorer.compared(current).map((which) =>
      make("figure", {}, explorer.picture(current, place, which, { small: true, sharp: true }), make("figcaption", {}, which.toUpperCase())));
  }

  /* `chosen` by the reader, and not by the page. */
  explorer.drawPreview = function drawPreview(current, place, more, chosen) {
    const box = explorer.byId("preview");
    window.clearTimeout(timer);
    if (place < 0) {
      shown = "";
      box.replaceChildren(make("p", { class: "empty" },
        "Point at an image in the plot, or press an arrow key there, to see it here."));
      return;
    }
    const view = [place, current.a, current.b, current.threshold, current.profile, more, chosen].join(" ");
    if (view === shown) return;
    shown = view;
    const frame = make("div", { class: "pair-panes" });
    box.replaceChildren(frame, ...facts(current, place, more, chosen));
    // A pointer on its way passes many points.
    timer = window.setTimeout(() => frame.replaceChildren(...panes(current, place)), 50);
  };
})(window.explorer);
