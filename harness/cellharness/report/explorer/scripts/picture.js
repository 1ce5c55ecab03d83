/* One image as a pane: the truth's outlines, or what a method made of it; and the key to them. */
(function (explorer) {
  "use strict";

  const { model, format, make } = explorer;
  const NAMESPACE = "http://www.w3.org/2000/svg";
  // Those of the report's panels, the last on top, and below them one that only this page has.
  const KINDS = {
    other: { label: "the other method’s cells", colour: "#CC79A7", dashes: [5, 1.5, 1, 1.5], width: 1.1 },
    ...model.outlines,
  };
  const PEN = 1.5; // px of a line of width 1, as on the report's page
  const PEN_SMALL = 1;
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

  function element(name, attributes) {
    const found = document.createElementNS(NAMESPACE, name);
    for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
    return found;
  }

  /* A line over its dark casing, which keeps it visible on light images. */
  function line(kind, data, pen) {
    const { colour, dashes, width } = KINDS[kind];
    const common = { d: data, fill: "none", "stroke-linejoin": "round", "vector-effect": "non-scaling-stroke" };
    return [
      element("path", { ...common, stroke: "#000", "stroke-opacity": 0.5, "stroke-width": pen * (width + 1) }),
      element("path", {
        ...common, class: "stroke", stroke: colour, "stroke-width": pen * width,
        "stroke-dasharray": dashes.map((each) => each * width * pen).join(" ") || "none",
      }),
    ];
  }

  /* A short piece of line as it is drawn in pictures. */
  explorer.lineKey = function lineKey(kind) {
    const svg = element("svg", { viewBox: "0 0 30 10", class: "key", "aria-hidden": "true" });
    svg.append(...line(kind, "M1 5H29", PEN));
    return svg;
  };

  explorer.kindLabel = (kind) => KINDS[kind].label;

  /* The key to the outlines of a page's part. */
  explorer.drawKey = function drawKey(list) {
    const kinds = explorer.LAYERS.filter((kind) => kind !== "other");
    list.replaceChildren(...kinds.map((kind) => make("li", {}, explorer.lineKey(kind), KINDS[kind].label)));
  };

  /* Why there is no picture; `short` for a thumbnail. */
  function absence(each, short) {
    if (!each.withheld) return "No picture: " + each.why + ".";
    if (short) return "Not shown: licence";
    return `Not shown: its licence (${each.licence || "none is stated"}) is not among those that the configuration allows to show.`;
  }

  function words(current, place, which) {
    const each = model.cases[place];
    const what = model.modalities[each.modality].name + " image " + each.name;
    if (which === "truth") return what + " with the outlines of the true cells";
    const method = current[which];
    const f1 = model.f1(current.profile, current.threshold, method, place);
    return what + " as " + model.methods[method].label + " segmented it: " + badge(current, place, which, f1);
  }

  function badge(current, place, which, f1) {
    const method = current[which];
    if (model.hasMask(method, place)) return "F1 " + format.f1(f1);
    return "no mask: " + model.status(method, place);
  }

  function outline(svg, current, place, which, small, arrived) {
    const { picture, name } = model.cases[place];
    explorer.outlines.ask(picture, (found) => {
      const [width, height] = found.grid;
      const parts = which === "truth"
        ? explorer.outlines.ofTruth(found)
        : explorer.outlines.ofMethod(found, current[which], current.threshold);
      if (!small && which !== "truth" && current.a !== current.b) {
        parts.other = explorer.outlines.all(found, current[which === "a" ? "b" : "a"]);
      }
      svg.setAttribute("viewBox", "0 0 " + width + " " + height);
      svg.replaceChildren();
      for (const kind of Object.keys(KINDS)) {
        if (!parts[kind]) continue;
        const group = element("g", { class: "layer " + kind });
        group.append(...line(kind, parts[kind], small ? PEN_SMALL : PEN));
        svg.append(group);
      }
      svg.dataset.drawn = name;
      if (arrived) arrived(found);
    });
  }

  /* Build a pane of an image: `which` is "truth", "a" or "b"; `small` for a thumbnail, `sharp`
     for one from the large file; `arrived` is handed the outlines' file. */
  explorer.picture = function picture(current, place, which, { small = false, sharp = false, arrived = null } = {}) {
    const each = model.cases[place];
    if (!each.picture) return make("p", { class: "no-picture" }, absence(each, small));
    const [width, height] = each.size;
    const frame = make("div", {
      class: "view",
      role: "img",
      "data-pane": which,
      "aria-label": words(current, place, which),
      style: "aspect-ratio:" + width + "/" + height + ";--ratio:" + width / height,
    });
    const folder = small && !sharp ? "thumbnails" : "pictures";
    const image = make("img", {
      alt: "",
      loading: small ? "lazy" : "eager",
      decoding: "async",
      draggable: "false",
      width: small ? 200 : width,
      height: small ? Math.round((200 * height) / width) : height,
      src: "explore/" + folder + "/" + each.picture + ".webp",
    });
    const svg = element("svg", { "aria-hidden": "true", preserveAspectRatio: "none" });
    frame.append(make("div", { class: "sheet" }, image, svg));
    if (which !== "truth") {
      const f1 = model.f1(current.profile, current.threshold, current[which], place);
      frame.append(make("span", { class: "badge", "aria-hidden": "true" }, badge(current, place, which, f1)));
    }
    const draw = () => outline(svg, current, place, which, small, arrived);
    if (small) {
      drawn.set(frame, draw);
      near.observe(frame);
    } else {
      draw();
    }
    return frame;
  };

  /* The panes of the methods that are compared: A and B, or the one that is both. */
  explorer.compared = (current) => (current.a === current.b ? ["a"] : ["a", "b"]);

  /* A method's name with its letter. */
  explorer.lettered = function lettered(current, which) {
    const method = model.methods[current[which]];
    return make("span", { class: "lettered" }, make("b", { class: "letter" }, which.toUpperCase()),
      explorer.swatch(method), method.label);
  };
})(window.explorer);
