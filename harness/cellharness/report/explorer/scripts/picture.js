/* One image with the outlines of its truth and of the two methods. */
(function (explorer) {
  "use strict";

  const { model, format, make } = explorer;
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const LAYERS = ["truth", "a", "b"];
  const drawn = new WeakMap();

  // Pictures far down the page get their outlines when they come near.
  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        near.unobserve(entry.target);
        const draw = drawn.get(entry.target);
        if (draw) draw();
      }
    },
    { rootMargin: "200px" },
  );

  function layer(svg, name, data) {
    const group = document.createElementNS(NAMESPACE, "g");
    group.setAttribute("class", "layer " + name);
    for (const kind of ["casing", "line"]) {
      const path = document.createElementNS(NAMESPACE, "path");
      path.setAttribute("class", kind);
      path.setAttribute("vector-effect", "non-scaling-stroke");
      path.setAttribute("d", data);
      group.append(path);
    }
    svg.append(group);
  }

  function words(state, place) {
    const each = model.cases[place];
    const { a, b } = explorer.scoresOf(state, place);
    const part = (method, value) =>
      model.methods[method].label + " F1 " + format.f1(value) +
      (model.hasMask(method, place) ? "" : ", no mask: " + model.status(method, place));
    return (
      model.modalities[each.modality].name + " image " + each.name + " with outlines; " +
      part(state.a, a) + "; " + part(state.b, b)
    );
  }

  function outline(svg, state, place, problems) {
    explorer.outlines.ask(model.cases[place].picture, (found) => {
      const [width, height] = found.grid;
      svg.setAttribute("viewBox", "0 0 " + width + " " + height);
      svg.replaceChildren();
      const texts = { truth: found.truth, a: found.methods[state.a], b: found.methods[state.b] };
      for (const name of LAYERS) {
        if (name === "b" && state.a === state.b) continue;
        if (texts[name]) layer(svg, name, explorer.outlines.pathData(texts[name], width, height));
      }
      svg.dataset.drawn = model.cases[place].name;
      if (problems) {
        problems([state.a, state.b].map((method) => found.problems[method] || ""));
      }
    });
  }

  explorer.words = words;

  /* Build the picture of an image: `small` for a thumbnail; `problems` is told of unreadable masks. */
  explorer.picture = function picture(state, place, { small = false, problems = null } = {}) {
    const each = model.cases[place];
    if (!each.picture) {
      return make("p", { class: "no-picture" }, "No picture: " + each.why + ".");
    }
    const [width, height] = each.size;
    const frame = make("div", {
      class: "view",
      role: "img",
      "aria-label": words(state, place),
      style: "aspect-ratio:" + width + "/" + height + ";--ratio:" + width / height,
    });
    const folder = small ? "thumbnails" : "pictures";
    const image = make("img", {
      alt: "",
      loading: small ? "lazy" : "eager",
      decoding: "async",
      width: small ? 200 : width,
      height: small ? Math.round((200 * height) / width) : height,
      src: "explore/" + folder + "/" + each.picture + ".webp",
    });
    const svg = document.createElementNS(NAMESPACE, "svg");
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("preserveAspectRatio", "none");
    frame.append(image, svg);
    if (small) {
      drawn.set(frame, () => outline(svg, state, place, problems));
      near.observe(frame);
    } else {
      outline(svg, state, place, problems);
    }
    return frame;
  };
})(window.explorer);
