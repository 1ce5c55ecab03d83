/* The worst images of a method, or those on which the two differ most. */
(function (explorer) {
  "use strict";

  const { model, state, format, make } = explorer;
  const AT_ONCE = 12;
  let shown = AT_ONCE;

  const ORDERS = {
    "low-a": ({ a }) => a,
    "low-b": ({ b }) => b,
    "a-ahead": ({ difference }) => difference,
    "b-ahead": ({ difference }) => -difference,
  };

  /* Images in the order of the gallery; those without a score stand apart. */
  explorer.galleryOrder = function galleryOrder(current, places) {
    const value = (place) => ORDERS[current.gallery](explorer.scoresOf(current, place));
    const ahead = current.gallery.endsWith("ahead");
    const scored = places.filter((place) => !Number.isNaN(value(place)) && (!ahead || value(place) < 0));
    const without = places.filter((place) => Number.isNaN(value(place)));
    return { order: explorer.sorted(scored, { value, number: true }, false), without };
  };

  function card(current, place) {
    const each = model.cases[place];
    const { a, b } = explorer.scoresOf(current, place);
    const line = (key, method, value) =>
      make("span", { class: "score" }, explorer.key(key), format.f1(value),
        model.hasMask(method, place) ? null : " " + model.status(method, place));
    const button = make(
      "button", { type: "button", class: "card", "data-case": each.name },
      make("span", { class: "stage" }, explorer.picture(current, place, { small: true })),
      make("span", { class: "name" }, each.name),
      make("span", { class: "about" }, model.modalities[each.modality].name),
      line("a", current.a, a),
      line("b", current.b, b),
    );
    button.addEventListener("click", () => state.set({ open: place }));
    return make("li", {}, button);
  }

  function leftOutWords(current, without) {
    if (!without.length) return "";
    const some = without.slice(0, 8).map((place) => model.cases[place].name).join(", ");
    return (
      format.count(without.length, "image") + " left out, without a score in the profile " +
      model.profiles[current.profile] + ": " + some + (without.length > 8 ? " …" : "") + "."
    );
  }

  function draw(current, places) {
    const { order, without } = explorer.galleryOrder(current, places);
    const list = document.getElementById("cards");
    list.replaceChildren(...order.slice(0, shown).map((place) => card(current, place)));
    document.getElementById("no-cards").hidden = order.length > 0;
    document.getElementById("gallery-left-out").textContent = leftOutWords(current, without);
    const more = document.getElementById("more");
    more.hidden = order.length <= shown;
    more.textContent = "Show " + Math.min(AT_ONCE, order.length - shown) + " more of " + order.length;
  }

  explorer.buildGallery = function buildGallery() {
    document.querySelectorAll('input[name="worst"]').forEach((input) => {
      input.addEventListener("change", () => state.set({ gallery: input.value }));
    });
    document.getElementById("more").addEventListener("click", () => {
      const first = shown;
      shown += AT_ONCE;
      draw(state.get(), explorer.selection(state.get()));
      document.getElementById("cards").children[first]?.querySelector("button").focus();
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
