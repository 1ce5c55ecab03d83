/* The worst images of a method, or those on which the two differ most. */
(function (explorer) {
  "use strict";

  const { model, state, format, make, byId } = explorer;
  const AT_ONCE = 12;
  let shown = AT_ONCE;

  const ORDERS = {
    "low-a": ({ a }) => a,
    "low-b": ({ b }) => b,
    "a-ahead": ({ difference }) => difference,
    "b-ahead": ({ difference }) => -difference,
  };

  /* Images in the order of the gallery, those that may not be shown last; those without a score
     stand apart. */
  explorer.galleryOrder = function galleryOrder(current, places) {
    const value = (place) => ORDERS[current.gallery](explorer.scoresOf(current, place));
    const ahead = current.gallery.endsWith("ahead");
    const scored = places.filter((place) => !Number.isNaN(value(place)) && (!ahead || value(place) < 0));
    const without = places.filter((place) => Number.isNaN(value(place)));
    const sorted = explorer.sorted(scored, { value, number: true }, false);
    const open = sorted.filter((place) => model.cases[place].picture);
    const closed = sorted.filter((place) => !model.cases[place].picture);
    const withheld = closed.filter((place) => model.cases[place].withheld).length;
    return { order: [...open, ...closed], withheld, broken: closed.length - withheld, without };
  };

  function card(current, place) {
    const each = model.cases[place];
    const scores = explorer.scoresOf(current, place);
    const compared = explorer.compared(current);
    const panes = each.picture
      ? compared.map((which) => explorer.picture(current, place, which, { small: true }))
      : [explorer.picture(current, place, "a", { small: true })];
    const line = (which) => {
      const failed = !model.hasMask(current[which], place);
      return make("span", { class: "score" }, make("b", { class: "letter" }, which.toUpperCase()),
        format.f1(scores[which]), failed ? " " + model.status(current[which], place) : null);
    };
    const button = make(
      "button", { type: "button", class: "card", "data-case": each.name },
      make("span", { class: "pair-panes" }, ...panes),
      make("span", { class: "name" }, each.name),
      make("span", { class: "about" }, model.modalities[each.modality].name),
      make("span", { class: "scores" }, ...compared.map(line)),
    );
    button.addEventListener("click", () => explorer.open(place));
    return make("li", {}, button);
  }

  function notes(current, { withheld, broken, without }) {
    const found = [];
    if (withheld) found.push("Last: " + format.count(withheld, "image") + " whose licence does not allow showing.");
    if (broken) found.push("Last: " + format.count(broken, "image") + " of which no picture could be made.");
    if (without.length) {
      const some = without.slice(0, 8).map((place) => model.cases[place].name).join(", ");
      found.push(format.count(without.length, "image") + " left out, without a score in the profile " +
        model.profiles[current.profile] + ": " + some + (without.length > 8 ? " …" : "") + ".");
    }
    return found.join(" ");
  }

  function nothing(current, places) {
    if (!places.length) return "No image passes the filters.";
    if (current.a === current.b && current.gallery.endsWith("ahead")) return "A and B are the same method: neither leads.";
    return { "a-ahead": "On no image does A lead B.", "b-ahead": "On no image does B lead A." }[current.gallery] ||
      "No image has a score of this method.";
  }

  function draw(current, places) {
    const found = explorer.galleryOrder(current, places);
    const { order } = found;
    byId("cards").replaceChildren(...order.slice(0, shown).map((place) => card(current, place)));
    byId("no-cards").hidden = order.length > 0;
    byId("no-cards").textContent = nothing(current, places);
    byId("gallery-notes").textContent = notes(current, found);
    const more = byId("more");
    more.hidden = order.length <= shown;
    more.textContent = "Show " + Math.min(AT_ONCE, order.length - shown) + " more of " + order.length;
  }

  explorer.buildGallery = function buildGallery() {
    document.querySelectorAll(".lines").forEach(explorer.drawKey);
    document.querySelectorAll('input[name="worst"]').forEach((input) => {
      input.addEventListener("change", () => state.set({ gallery: input.value }));
    });
    byId("more").addEventListener("click", () => {
      const first = shown;
      shown += AT_ONCE;
      draw(state.get(), explorer.selection(state.get()));
      byId("cards").children[first]?.querySelector("button").focus();
    });
  };

  explorer.drawGallery = function drawGallery(current, places) {
    shown = AT_ONCE;
    document.querySelectorAll('input[name="worst"]').forEach((input) => {
      input.checked = input.value === current.gallery;
    });
    draw(current, places);
  };
})(window.explorer);
