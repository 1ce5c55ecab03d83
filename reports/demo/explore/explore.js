/* What is known: scores, statuses and names, looked up by number. */
window.explorer = {};

(function (explorer) {
  "use strict";

  const data = window.EXPLORER_DATA;
  const nMethods = data.methods.length;
  const nCases = data.cases.length;
  const nThresholds = data.thresholds.length;
  const nGroups = data.groups.length;
  const nPairs = (nMethods * (nMethods - 1)) / 2;

  function bytes(text) {
    const raw = window.atob(text);
    const found = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i += 1) found[i] = raw.charCodeAt(i);
    return found;
  }

  function floats(text) {
    return new Float32Array(bytes(text).buffer);
  }

  const f1 = floats(data.f1);
  const status = bytes(data.status);
  const seconds = floats(data.seconds);
  const predicted = floats(data.predicted);
  const cells = floats(data.cells);
  const tests = floats(data.tests);
  const tested = data.tested;

  const messages = new Map();
  for (const [method, place, text] of data.messages.where) {
    messages.set(method * nCases + place, data.messages.texts[text]);
  }

  const segmented = new Set(data.segmented);
  const experiments = [...new Set(data.cases.map((each) => each.experiment))];
  experiments.sort(new Intl.Collator("en", { numeric: true }).compare);

  explorer.model = {
    methods: data.methods,
    tested,
    modalities: data.modalities,
    groups: data.groups,
    profiles: data.profiles,
    thresholds: data.thresholds,
    statuses: data.statuses,
    experiments,
    cases: data.cases,
    main: data.main,

    /* F1, NaN where the profile leaves the image out. */
    f1(profile, threshold, method, place) {
      return f1[((profile * nThresholds + threshold) * nMethods + method) * nCases + place];
    },
    status(method, place) {
      return data.statuses[status[method * nCases + place]];
    },
    hasMask(method, place) {
      return segmented.has(this.status(method, place));
    },
    message(method, place) {
      return messages.get(method * nCases + place) || "";
    },
    seconds(method, place) {
      return seconds[method * nCases + place];
    },
    predicted(method, place) {
      return predicted[method * nCases + place];
    },
    cells(place) {
      return cells[place];
    },
    /* The second of two different methods less the first, in a group of images: two-sided p, raw
       and adjusted over the pairs, and the interval of the mean. NaN where nothing was tested. */
    test(profile, threshold, group, one, other) {
      const [low, high] = one < other ? [one, other] : [other, one];
      const pair = low * nMethods - (low * (low + 1)) / 2 + (high - low - 1);
      const block = ((profile * nThresholds + threshold) * nGroups + group) * 4 * nPairs;
      const at = (number) => tests[block + number * nPairs + pair];
      const ends = one < other ? [at(2), at(3)] : [-at(3), -at(2)];
      return { raw: at(0), adjusted: at(1), ends };
    },
  };
})(window.explorer);

/* How numbers and names are written, the same way everywhere and as in the report. */
(function (explorer) {
  "use strict";

  const NOTHING = "–";

  function fixed(value, digits) {
    return Number.isNaN(value) ? NOTHING : value.toFixed(digits);
  }

  explorer.format = {
    NOTHING,
    f1(value) {
      return Number.isNaN(value) ? "left out" : value.toFixed(3);
    },
    signed(value) {
      if (Number.isNaN(value)) return NOTHING;
      const text = Math.abs(value).toFixed(3);
      if (Number(text) === 0) return "0";
      return (value > 0 ? "+" : "−") + text;
    },
    whole(value) {
      return Number.isNaN(value) ? NOTHING : value.toLocaleString("en-US", { maximumFractionDigits: 0 });
    },
    /* Three significant digits, but at most three decimals. */
    seconds(value) {
      if (Number.isNaN(value)) return NOTHING;
      if (value === 0) return "0";
      const decimals = 2 - Math.floor(Math.log10(Math.abs(value)));
      return fixed(value, Math.min(3, Math.max(0, decimals)));
    },
    p(value) {
      if (Number.isNaN(value)) return "not tested, no image differs";
      return value < 0.0001 ? "p < 0.0001" : "p = " + Number(value.toPrecision(2));
    },
    threshold(value) {
      return String(Number(value.toFixed(4)));
    },
    count(n, noun) {
      return n.toLocaleString("en-US") + " " + noun + (n === 1 ? "" : "s");
    },
  };

  /* Make an element: attributes, then children, text being text and never markup. */
  explorer.make = function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === false || value === null || value === undefined) continue;
      if (name === "style") element.style.cssText = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };

  explorer.swatch = function swatch(method) {
    return explorer.make("i", { class: "swatch", style: "background:" + method.colour });
  };
})(window.explorer);

/* What the reader chose: kept in the address after #, so that a view can be sent to others. */
(function (explorer) {
  "use strict";

  const model = explorer.model;
  const GALLERIES = ["low-a", "low-b", "a-ahead", "b-ahead"];
  const listeners = [];

  function start() {
    const threshold = model.thresholds.indexOf(model.main.threshold);
    return {
      a: model.main.pair[0],
      b: model.main.pair[1],
      threshold: Math.max(0, threshold),
      profile: 0,
      modalities: null, // null is all of them
      experiments: null,
      statuses: null,
      text: "",
      methodsBy: "median",
      methodsDown: true,
      sort: "case",
      down: false,
      wide: false,
      gallery: "low-a",
      open: -1,
    };
  }

  const lists = {
    modalities: ["m", model.modalities.map((each) => each.name)],
    experiments: ["e", model.experiments],
    statuses: ["s", model.statuses],
  };

  function place(name, names, otherwise) {
    const found = names.indexOf(name);
    return found < 0 ? otherwise : found;
  }

  function read(address) {
    const given = new URLSearchParams(address.replace(/^#/, ""));
    const state = start();
    const methods = model.methods.map((each) => each.name);
    state.a = place(given.get("a"), methods, state.a);
    state.b = place(given.get("b"), methods, state.b);
    const wanted = Number(given.get("t") || "NaN");
    const near = model.thresholds.findIndex((each) => Math.abs(each - wanted) < 1e-6);
    if (near >= 0) state.threshold = near;
    state.profile = place(given.get("p"), model.profiles, state.profile);
    for (const [name, [key, all]] of Object.entries(lists)) {
      if (!given.has(key)) continue;
      state[name] = new Set(given.getAll(key).filter((each) => all.includes(each)));
    }
    state.text = given.get("q") || "";
    const [by, way] = (given.get("methods") || "median.down").split(".");
    state.methodsBy = by;
    state.methodsDown = way === "down";
    const [sort, direction] = (given.get("sort") || "case").split(".");
    state.sort = sort;
    state.down = direction === "down";
    state.wide = given.get("columns") === "all";
    if (GALLERIES.includes(given.get("worst"))) state.gallery = given.get("worst");
    state.open = place(given.get("case"), model.cases.map((each) => each.name), -1);
    return state;
  }

  function write(state) {
    const usual = start();
    const told = new URLSearchParams();
    told.set("a", model.methods[state.a].name);
    told.set("b", model.methods[state.b].name);
    if (state.threshold !== usual.threshold) told.set("t", model.thresholds[state.threshold]);
    if (state.profile !== usual.profile) told.set("p", model.profiles[state.profile]);
    for (const [name, [key]] of Object.entries(lists)) {
      if (state[name] === null) continue;
      if (state[name].size === 0) told.append(key, "");
      for (const each of state[name]) told.append(key, each);
    }
    if (state.text) told.set("q", state.text);
    if (state.methodsBy !== usual.methodsBy || !state.methodsDown) {
      told.set("methods", state.methodsBy + (state.methodsDown ? ".down" : ""));
    }
    if (state.sort !== usual.sort || state.down) {
      told.set("sort", state.sort + (state.down ? ".down" : ""));
    }
    if (state.wide) told.set("columns", "all");
    if (state.gallery !== usual.gallery) told.set("worst", state.gallery);
    if (state.open >= 0) told.set("case", model.cases[state.open].name);
    return "#" + told.toString();
  }

  let current = read(window.location.hash);
  let timer = 0;

  function tell(changed) {
    for (const listener of listeners) listener(current, changed);
  }

  function keepAddress() {
    window.clearTimeout(timer);
    // Browsers refuse many changes of the address in a short time.
    timer = window.setTimeout(() => window.history.replaceState(null, "", write(current)), 120);
  }

  window.addEventListener("hashchange", () => {
    // Links within the page have no "=".
    if (!window.location.hash.includes("=")) return;
    current = read(window.location.hash);
    tell(new Set(Object.keys(current)));
  });

  explorer.state = {
    get() {
      return current;
    },
    set(changes) {
      const changed = new Set();
      for (const [name, value] of Object.entries(changes)) {
        if (current[name] !== value) changed.add(name);
      }
      if (changed.size === 0) return;
      current = { ...current, ...changes };
      keepAddress();
      tell(changed);
    },
    reset() {
      const { modalities, experiments, statuses, text } = start();
      this.set({ modalities, experiments, statuses, text });
    },
    /* Call `listener(state, changed)` after every change; `changed` names what did. */
    listen(listener) {
      listeners.push(listener);
    },
  };
})(window.explorer);

/* Which images are under the present filters. */
(function (explorer) {
  "use strict";

  const model = explorer.model;

  /* Numbers of the images that pass, in the order of the manifest. */
  explorer.selection = function selection(state) {
    const words = state.text.trim().toLowerCase();
    const found = [];
    model.cases.forEach((each, place) => {
      if (words && !each.name.toLowerCase().includes(words)) return;
      if (state.modalities && !state.modalities.has(model.modalities[each.modality].name)) return;
      if (state.experiments && !state.experiments.has(each.experiment)) return;
      if (
        state.statuses &&
        !state.statuses.has(model.status(state.a, place)) &&
        !state.statuses.has(model.status(state.b, place))
      ) {
        return;
      }
      found.push(place);
    });
    return found;
  };

  /* F1 of the two chosen methods at the chosen threshold, and the second less the first. */
  explorer.scoresOf = function scoresOf(state, place) {
    const a = model.f1(state.profile, state.threshold, state.a, place);
    const b = model.f1(state.profile, state.threshold, state.b, place);
    return { a, b, difference: b - a };
  };

  /* The group of images that the filters come to: 0 all, 1 the first modality...; or -1. */
  explorer.groupOf = function groupOf(state) {
    if (state.text.trim() || state.experiments || state.statuses) return -1;
    if (!state.modalities || state.modalities.size === model.modalities.length) return 0;
    if (state.modalities.size !== 1) return -1;
    const [only] = state.modalities;
    return 1 + model.modalities.findIndex((each) => each.name === only);
  };
})(window.explorer);

/* How often either method is ahead, and by how much; p values were computed beforehand. */
(function (explorer) {
  "use strict";

  const { model, format, make } = explorer;

  /* Count over images; those that lack a score of either method are counted as left out. */
  explorer.count = function count(state, places) {
    const found = { aAhead: 0, bAhead: 0, equal: 0, leftOut: 0, mean: NaN };
    let sum = 0;
    for (const place of places) {
      const { difference } = explorer.scoresOf(state, place);
      if (Number.isNaN(difference)) {
        found.leftOut += 1;
        continue;
      }
      sum += difference;
      if (difference > 0) found.bAhead += 1;
      else if (difference < 0) found.aAhead += 1;
      else found.equal += 1;
    }
    const compared = found.aAhead + found.bAhead + found.equal;
    if (compared) found.mean = sum / compared;
    return { ...found, compared };
  };

  function testWords(state) {
    if (state.a === state.b) return "A and B are the same method: choose another to compare.";
    const group = explorer.groupOf(state);
    if (group < 0) return "Tested for all images and for single modalities only, not under other filters.";
    const test = model.test(state.profile, state.threshold, group, state.a, state.b);
    if (Number.isNaN(test.raw)) {
      return "Not tested: too few independent units here, or a method that reads the truth.";
    }
    const ends = test.ends.map(format.signed).join(" to ");
    const adjusted = test.adjusted > test.raw ? ", corrected " + format.p(test.adjusted) : "";
    return "Mean difference: " + ends + ", " + format.p(test.raw) + adjusted + ". " + model.tested;
  }

  explorer.drawSummary = function drawSummary(state, places) {
    const box = document.getElementById("summary");
    const found = explorer.count(state, places);
    const [a, b] = [model.methods[state.a], model.methods[state.b]];
    const row = (name, value, note) => [
      make("dt", {}, ...name),
      make("dd", {}, make("b", {}, value), note ? make("small", {}, " " + note) : null),
    ];
    box.replaceChildren(
      ...row([explorer.swatch(b), b.label + " (B) higher"], format.whole(found.bAhead), "above the line"),
      ...row([explorer.swatch(a), a.label + " (A) higher"], format.whole(found.aAhead), "below"),
      ...row(["Equal"], format.whole(found.equal)),
      ...(found.leftOut ? row(["Left out"], format.whole(found.leftOut), "no score of A or B, drawn in the margin") : []),
      ...row(["Mean difference, B − A"], format.signed(found.mean), "n = " + format.whole(found.compared)),
    );
    document.getElementById("test").textContent = testWords(state);
  };
})(window.explorer);

/* Outlines: their files are loaded when they are first shown, their text becomes SVG paths. */
(function (explorer) {
  "use strict";

  const ROWS = [0, 1, 0, -1]; // right, down, left, up
  const COLUMNS = [1, 0, -1, 0];
  const TURNS = [0, 3, 1]; // straight on, left, right
  const MOST_KEPT = 60;

  const kept = new Map();
  const waiting = new Map();

  function digit(text, place) {
    const code = text.charCodeAt(place);
    return code > 92 ? code - 36 : code - 35;
  }

  /* Turn the text of all outlines of an image (see chains.py) into the data of an SVG path.
     Corners are cut at the middles of pixel edges; edges on the frame are not drawn, since there
     the picture ends and not the cell. */
  function pathData(text, width, height) {
    const parts = [];
    let at = 0;
    while (at < text.length) {
      const start = (digit(text, at) * 81 + digit(text, at + 1)) * 81 + digit(text, at + 2);
      at += 3;
      const [y0, x0] = [Math.floor(start / (width + 1)), start % (width + 1)];
      let [y, x, heading, left, number] = [y0, x0, 0, 0, 0];
      let pen = false;
      let previous = -1;
      let first = "";
      let ended = false;
      while (!ended) {
        const [fromY, fromX, edge] = [y, x, heading];
        y += ROWS[heading];
        x += COLUMNS[heading];
        if (left === 0) {
          number = digit(text, at);
          at += 1;
          left = 4;
        }
        heading = (heading + TURNS[number % 3]) % 4;
        number = Math.floor(number / 3);
        left -= 1;
        ended = heading === 0 && y === y0 && x === x0;
        const framed =
          (fromY === y && (y === 0 || y === height)) || (fromX === x && (x === 0 || x === width));
        if (framed) {
          pen = false;
          previous = -1;
          continue;
        }
        // Middles on a straight run say nothing but the first and the last of them.
        if (pen && previous === edge && heading === edge && !ended) continue;
        const point = (fromX + x) / 2 + " " + (fromY + y) / 2;
        parts.push(pen ? "L" : "M", point);
        if (!first) first = fromY === y0 && fromX === x0 ? point : "open";
        pen = true;
        previous = edge;
      }
      if (pen && first !== "open") parts.push("L", first);
    }
    return parts.join("");
  }

  explorer.outlines = {
    pathData,

    /* Called by the files themselves. */
    arrived(name, found) {
      kept.set(name, found);
      if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
      for (const call of waiting.get(name) || []) call(found);
      waiting.delete(name);
    },

    /* Hand the outlines of an image to `call`: now, or when their file is there. */
    ask(name, call) {
      if (kept.has(name)) {
        call(kept.get(name));
        return;
      }
      if (waiting.has(name)) {
        waiting.get(name).push(call);
        return;
      }
      waiting.set(name, [call]);
      const script = document.createElement("script");
      script.src = "explore/outlines/" + name + ".js";
      script.addEventListener("load", () => script.remove());
      script.addEventListener("error", () => {
        waiting.delete(name);
        script.remove();
      });
      document.head.append(script);
    },
  };
})(window.explorer);

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

/* The controls at the top: methods, threshold, profile, and which images. */
(function (explorer) {
  "use strict";

  const { model, state, format, make } = explorer;
  const byId = (id) => document.getElementById(id);

  function methodChoice(id, key) {
    const select = byId(id);
    model.methods.forEach((method, place) => {
      select.append(make("option", { value: place }, method.label));
    });
    select.addEventListener("change", () => state.set({ [key]: Number(select.value) }));
  }

  /* A box for every name; all ticked is no filter. */
  function checklist(id, key, names, label) {
    const box = byId(id);
    names.forEach((name, place) => {
      const input = make("input", { type: "checkbox", value: place });
      box.append(make("label", {}, input, " ", ...label(name, place)));
      input.addEventListener("change", () => {
        const inputs = [...box.querySelectorAll("input")];
        const chosen = names.filter((_, i) => inputs[i].checked);
        state.set({ [key]: chosen.length === names.length ? null : new Set(chosen) });
      });
    });
  }

  function show(current, names, id, key) {
    byId(id).querySelectorAll("input").forEach((input, place) => {
      input.checked = current[key] === null || current[key].has(names[place]);
    });
  }

  const modalityNames = model.modalities.map((each) => each.name);

  explorer.buildFilters = function buildFilters() {
    methodChoice("method-a", "a");
    methodChoice("method-b", "b");
    byId("swap").addEventListener("click", () => {
      const { a, b } = state.get();
      state.set({ a: b, b: a });
    });

    const slider = byId("threshold");
    slider.max = model.thresholds.length - 1;
    slider.disabled = model.thresholds.length < 2;
    slider.addEventListener("input", () => state.set({ threshold: Number(slider.value) }));

    model.profiles.forEach((name, place) => {
      const input = make("input", { type: "radio", name: "profile", value: place });
      byId("profiles").append(make("label", {}, input, " " + name));
      input.addEventListener("change", () => state.set({ profile: place }));
    });

    checklist("modalities", "modalities", modalityNames, (name, place) => [
      explorer.markerIcon(model.modalities[place]),
      name,
    ]);
    checklist("statuses", "statuses", model.statuses, (name) => [name]);
    checklist("experiments", "experiments", model.experiments, (name) => [name || "none stated"]);
    byId("no-experiment").addEventListener("click", () => state.set({ experiments: new Set() }));
    byId("all-experiments").addEventListener("click", () => state.set({ experiments: null }));
    const choice = byId("experiment-choice");
    choice.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !choice.open) return;
      choice.open = false;
      choice.querySelector("summary").focus();
    });
    document.addEventListener("click", (event) => {
      if (!choice.contains(event.target)) choice.open = false;
    });

    const text = byId("text");
    text.addEventListener("input", () => state.set({ text: text.value }));
    byId("reset").addEventListener("click", () => state.reset());
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    if (window.matchMedia("(max-width: 46rem)").matches) byId("filters").open = false;
  };

  function filterWords(current, n) {
    const parts = [];
    if (current.modalities) parts.push([...current.modalities].join(", ") || "no modality");
    if (current.experiments) parts.push(format.count(current.experiments.size, "experiment"));
    if (current.statuses) parts.push("status " + ([...current.statuses].join(", ") || "none"));
    if (current.text.trim()) parts.push("name has “" + current.text.trim() + "”");
    const total = format.count(model.cases.length, "image");
    return n + " of " + total + (parts.length ? ": " + parts.join("; ") : "");
  }

  explorer.drawFilters = function drawFilters(current, places) {
    byId("method-a").value = current.a;
    byId("method-b").value = current.b;
    byId("swatch-a").style.background = model.methods[current.a].colour;
    byId("swatch-b").style.background = model.methods[current.b].colour;
    const threshold = format.threshold(model.thresholds[current.threshold]);
    const slider = byId("threshold");
    slider.value = current.threshold;
    slider.setAttribute("aria-valuetext", "IoU at least " + threshold);
    byId("threshold-value").textContent = "IoU ≥ " + threshold;
    byId("profiles").querySelectorAll("input").forEach((input, place) => {
      input.checked = place === current.profile;
    });
    show(current, modalityNames, "modalities", "modalities");
    show(current, model.statuses, "statuses", "statuses");
    show(current, model.experiments, "experiments", "experiments");
    byId("experiment-count").textContent = current.experiments
      ? current.experiments.size + " of " + model.experiments.length
      : "all " + model.experiments.length;
    if (byId("text").value !== current.text) byId("text").value = current.text;
    byId("shown").textContent = filterWords(current, places.length);
    const filtered = current.modalities || current.experiments || current.statuses || current.text;
    byId("reset").disabled = !filtered;
    document.querySelectorAll(".name-a").forEach((each) => {
      each.textContent = model.methods[current.a].label;
    });
    document.querySelectorAll(".name-b").forEach((each) => {
      each.textContent = model.methods[current.b].label;
    });
  };
})(window.explorer);

/* F1 of one method against the other's, one point an image. */
(function (explorer) {
  "use strict";

  const { model, state, format, make } = explorer;
  const d3 = window.d3;

  // Within a square from -1 to 1, about equally large to the eye; named as matplotlib names them.
  const MARKERS = {
    o: "M1 0A1 1 0 1 1 -1 0A1 1 0 1 1 1 0Z",
    s: "M-.9 -.9H.9V.9H-.9Z",
    "^": "M0 -1.15L1.1 .85H-1.1Z",
    v: "M0 1.15L1.1 -.85H-1.1Z",
    D: "M0 -1.25L1.1 0L0 1.25L-1.1 0Z",
    P: "M-.38 -1.1H.38V-.38H1.1V.38H.38V1.1H-.38V.38H-1.1V-.38H-.38Z",
    X: "M-1.1 -.6L-.6 -1.1L0 -.5L.6 -1.1L1.1 -.6L.5 0L1.1 .6L.6 1.1L0 .5L-.6 1.1L-1.1 .6L-.5 0Z",
    "<": "M-1.15 0L.85 -1.1V1.1Z",
    ">": "M1.15 0L-.85 -1.1V1.1Z",
  };
  const RADIUS = 4.6;
  const REACH = 28;
  const MARGIN = { top: 10, right: 12, bottom: 52, left: 56 };
  const GUTTER = 30;

  explorer.markerIcon = function markerIcon(modality) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "-1.5 -1.5 3 3");
    svg.setAttribute("class", "marker");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", MARKERS[modality.marker] || MARKERS.o);
    path.setAttribute("fill", modality.colour);
    svg.append(path);
    return svg;
  };

  let points = [];
  let near = null;
  let active = -1;
  let side = 0;

  const svg = d3.select("#scatter");
  const layers = {};

  function layout(places, current) {
    const scores = places.map((place) => ({ place, ...explorer.scoresOf(current, place) }));
    const gutter = scores.some((each) => Number.isNaN(each.difference)) ? GUTTER : 0;
    const inner = side - MARGIN.left - MARGIN.right - gutter;
    const left = MARGIN.left + gutter;
    const x = d3.scaleLinear([0, 1], [left, left + inner]);
    const y = d3.scaleLinear([0, 1], [MARGIN.top + inner, MARGIN.top]);
    const height = MARGIN.top + inner + gutter + MARGIN.bottom;
    for (const each of scores) {
      each.x = Number.isNaN(each.a) ? MARGIN.left + gutter / 2 : x(each.a);
      each.y = Number.isNaN(each.b) ? y(0) + gutter / 2 + 2 : y(each.b);
      each.failed = !model.hasMask(current.a, each.place) || !model.hasMask(current.b, each.place);
    }
    return { scores, gutter, x, y, height };
  }

  function drawFrame(current, { gutter, x, y, height }) {
    svg.attr("viewBox", `0 0 ${side} ${height}`).attr("width", side).attr("height", height);
    const ticks = side < 400 ? 5 : 10;
    const bottom = y(0) + gutter;
    layers.x.attr("transform", `translate(0 ${bottom})`).call(d3.axisBottom(x).ticks(ticks).tickSize(-(bottom - y(1))).tickPadding(8));
    layers.y.attr("transform", `translate(${x(0) - gutter} 0)`).call(d3.axisLeft(y).ticks(ticks).tickSize(-(x(1) - x(0) + gutter)).tickPadding(8));
    layers.diagonal.attr("d", `M${x(0)} ${y(0)}L${x(1)} ${y(1)}`);
    layers.xTitle
      .attr("x", (x(0) + x(1)) / 2).attr("y", height - 8)
      .text(`F1 of A, ${model.methods[current.a].label}`);
    layers.yTitle
      .attr("transform", `translate(14 ${(y(0) + y(1)) / 2}) rotate(-90)`)
      .text(`F1 of B, ${model.methods[current.b].label}`);
    layers.gutters.attr("hidden", gutter ? null : "");
    layers.gutterA.attr("x", x(0) - gutter).attr("y", y(1)).attr("width", gutter).attr("height", y(0) - y(1) + gutter);
    layers.gutterB.attr("x", x(0) - gutter).attr("y", y(0)).attr("width", x(1) - x(0) + gutter).attr("height", gutter);
    layers.gutterAText.attr("transform", `translate(${x(0) - gutter / 2 + 3} ${y(0.5)}) rotate(-90)`);
    layers.gutterBText.attr("x", x(0.5)).attr("y", y(0) + gutter / 2 + 3.5);
  }

  function label(current, each) {
    const one = model.cases[each.place];
    return (
      `${one.name}, ${model.modalities[one.modality].name}, A ${format.f1(each.a)}, ` +
      `B ${format.f1(each.b)}` + (each.failed ? ", without a mask of A or B" : "")
    );
  }

  explorer.buildScatter = function buildScatter() {
    layers.x = svg.append("g").attr("class", "axis");
    layers.y = svg.append("g").attr("class", "axis");
    layers.gutters = svg.append("g").attr("class", "gutters");
    layers.gutterA = layers.gutters.append("rect");
    layers.gutterB = layers.gutters.append("rect");
    layers.gutterAText = layers.gutters.append("text").text("A left out");
    layers.gutterBText = layers.gutters.append("text").text("B left out");
    layers.diagonal = svg.append("path").attr("class", "diagonal");
    layers.xTitle = svg.append("text").attr("class", "axis-title");
    layers.yTitle = svg.append("text").attr("class", "axis-title");
    layers.points = svg.append("g").attr("class", "points");
    layers.ring = svg.append("circle").attr("class", "ring").attr("r", RADIUS + 4).attr("hidden", "");
    for (const layer of [layers.x, layers.y, layers.gutters, layers.xTitle, layers.yTitle]) {
      layer.attr("aria-hidden", "true");
    }

    const node = svg.node();
    node.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch") activate(nearest(event));
    });
    node.addEventListener("click", (event) => {
      const found = nearest(event);
      if (found < 0) return;
      activate(found);
      state.set({ open: points[found].place });
    });
    node.addEventListener("keydown", onKey);
    node.addEventListener("focus", () => {
      if (active < 0 && points.length) activate(0);
    });
    new ResizeObserver(() => {
      const width = resize();
      if (width !== side) explorer.drawScatter(state.get(), explorer.selection(state.get()));
    }).observe(node.parentElement);
  };

  function resize() {
    return Math.max(240, Math.min(620, Math.floor(svg.node().parentElement.clientWidth)));
  }

  function nearest(event) {
    if (!near) return -1;
    const [x, y] = d3.pointer(event, svg.node());
    const found = near.find(x, y);
    const each = points[found];
    return each && Math.hypot(each.x - x, each.y - y) <= REACH ? found : -1;
  }

  function activate(found) {
    if (found < 0 || found >= points.length) return;
    active = found;
    const each = points[found];
    layers.ring.attr("hidden", null).attr("cx", each.x).attr("cy", each.y);
    svg.attr("aria-activedescendant", "point-" + each.place);
    layers.points.selectAll("path").attr("aria-selected", (one) => (one === each ? "true" : "false"));
    const here = points.filter((one) => one.x === each.x && one.y === each.y).length;
    explorer.drawPreview(state.get(), each.place, here - 1);
  }

  /* The next point along an axis; points at the same height follow each other by the other axis. */
  function step(along, across, forward) {
    const order = d3.range(points.length).sort(
      (i, j) =>
        points[i][along] - points[j][along] || points[i][across] - points[j][across] || i - j,
    );
    const at = order.indexOf(active);
    return order[Math.min(order.length - 1, Math.max(0, at + (forward ? 1 : -1)))];
  }

  function onKey(event) {
    if (!points.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = {
      ArrowRight: () => step("x", "y", true),
      ArrowLeft: () => step("x", "y", false),
      ArrowUp: () => step("y", "x", false),
      ArrowDown: () => step("y", "x", true),
      Home: () => 0,
      End: () => points.length - 1,
    };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (active >= 0) state.set({ open: points[active].place });
    } else if (moves[event.key]) {
      event.preventDefault();
      activate(active < 0 ? 0 : moves[event.key]());
    }
  }

  explorer.drawScatter = function drawScatter(current, places) {
    side = resize();
    const kept = active >= 0 ? points[active].place : -1;
    const plan = layout(places, current);
    points = plan.scores;
    near = points.length ? d3.Delaunay.from(points, (each) => each.x, (each) => each.y) : null;
    drawFrame(current, plan);
    layers.points
      .selectAll("path")
      .data(points, (each) => each.place)
      .join((enter) =>
        enter
          .append("path")
          .attr("id", (each) => "point-" + each.place)
          .attr("role", "option")
          .attr("aria-selected", "false")
          .attr("d", (each) => MARKERS[modality(each).marker] || MARKERS.o)
          .style("--colour", (each) => modality(each).colour),
      )
      .attr("class", (each) => (each.failed ? "failed" : null))
      .attr("transform", (each) => `translate(${each.x} ${each.y}) scale(${RADIUS})`)
      .attr("aria-label", (each) => label(current, each));
    active = points.findIndex((each) => each.place === kept);
    layers.ring.attr("hidden", "");
    svg.attr("aria-activedescendant", null);
    if (active >= 0) activate(active);
    else explorer.drawPreview(current, -1, 0);
    document.getElementById("nothing").hidden = points.length > 0;
  };

  function modality(each) {
    return model.modalities[model.cases[each.place].modality];
  }

  explorer.drawLegend = function drawLegend(places) {
    const shown = new Set(places.map((place) => model.cases[place].modality));
    const items = [...shown].sort((i, j) => i - j).map((i) =>
      make("li", {}, explorer.markerIcon(model.modalities[i]), model.modalities[i].name));
    document.getElementById("markers").replaceChildren(...items);
  };
})(window.explorer);

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

/* Every method over the images under the present filters. */
(function (explorer) {
  "use strict";

  const { model, state, format, make } = explorer;
  const names = new Intl.Collator("en", { numeric: true });
  const d3 = window.d3;

  const COLUMNS = [
    { key: "method", title: "Method", value: (row) => model.methods[row.method].label },
    { key: "median", title: "Median F1", number: true, value: (row) => row.median },
    { key: "mean", title: "Mean F1", number: true, value: (row) => row.mean },
    { key: "n", title: "Images", number: true, value: (row) => row.n },
    { key: "failed", title: "Without a mask", number: true, value: (row) => row.failed },
    { key: "seconds", title: "Median seconds", number: true, value: (row) => row.seconds },
  ];

  /* Medians and means of the images that have a value; `n` is how many have an F1. */
  explorer.methodRow = function methodRow(current, method, places) {
    const known = (values) => values.filter((value) => !Number.isNaN(value));
    const f1 = known(places.map((place) => model.f1(current.profile, current.threshold, method, place)));
    const seconds = known(places.map((place) => model.seconds(method, place)));
    return {
      method,
      n: f1.length,
      median: d3.median(f1) ?? NaN,
      mean: d3.mean(f1) ?? NaN,
      failed: places.filter((place) => !model.hasMask(method, place)).length,
      seconds: d3.median(seconds) ?? NaN,
    };
  };

  function sorted(rows, column, down) {
    const sign = down ? -1 : 1;
    return [...rows].sort((one, other) => {
      const [i, j] = [column.value(one), column.value(other)];
      if (!column.number) return sign * names.compare(i, j) || one.method - other.method;
      return Number.isNaN(i) - Number.isNaN(j) || sign * (i - j) || one.method - other.method;
    });
  }

  function chooser(current, key, method) {
    const word = key.toUpperCase();
    const button = make("button", {
      type: "button",
      "data-choice": key + " " + method,
      "aria-pressed": current[key] === method ? "true" : "false",
      "aria-label": model.methods[method].label + " as " + word,
    }, word);
    button.addEventListener("click", () => state.set({ [key]: method }));
    return button;
  }

  function line(current, row) {
    const { label } = model.methods[row.method];
    const mean = Number.isNaN(row.mean) ? 0 : row.mean * 100;
    const number = (text) => make("td", { class: "num" }, text);
    return make(
      "tr", { "data-method": model.methods[row.method].name },
      make("th", { scope: "row" }, explorer.swatch(model.methods[row.method]), label),
      number(Number.isNaN(row.median) ? format.NOTHING : row.median.toFixed(3)),
      make("td", { class: "num" },
        make("span", { class: "bar", "aria-hidden": "true" },
          make("i", { style: `width:${mean}%;background:${model.methods[row.method].colour}` })),
        Number.isNaN(row.mean) ? format.NOTHING : row.mean.toFixed(3)),
      number(format.whole(row.n)),
      number(format.whole(row.failed)),
      number(format.seconds(row.seconds)),
      make("td", { class: "choose" }, chooser(current, "a", row.method), chooser(current, "b", row.method)),
    );
  }

  function head(current, column) {
    const cells = COLUMNS.map((each) => {
      const chosen = each === column;
      const button = make("button", { type: "button", "data-key": each.key },
        make("span", {}, each.title),
        make("span", { class: "arrow", "aria-hidden": "true" }, chosen ? (current.methodsDown ? "▼" : "▲") : ""));
      button.addEventListener("click", () => {
        const again = state.get().methodsBy === each.key;
        state.set({
          methodsBy: each.key,
          methodsDown: again ? !state.get().methodsDown : Boolean(each.number),
        });
      });
      const direction = current.methodsDown ? "descending" : "ascending";
      return make("th", { scope: "col", class: each.number ? "num" : null, "aria-sort": chosen ? direction : "none" }, button);
    });
    return make("tr", {}, ...cells, make("th", { scope: "col" }, "Compare as"));
  }

  explorer.drawMethods = function drawMethods(current, places) {
    const table = document.getElementById("methods-table");
    const focused = table.contains(document.activeElement) ? { ...document.activeElement.dataset } : null;
    const column = COLUMNS.find((each) => each.key === current.methodsBy) || COLUMNS[1];
    const rows = model.methods.map((_, method) => explorer.methodRow(current, method, places));
    table.tHead.replaceChildren(head(current, column));
    table.tBodies[0].replaceChildren(...sorted(rows, column, current.methodsDown).map((row) => line(current, row)));
    // Drawn anew, the button that was pressed has the focus again.
    if (!focused) return;
    const again = [...table.querySelectorAll("button")].find(
      (each) => each.dataset.key === focused.key && each.dataset.choice === focused.choice,
    );
    if (again) again.focus({ preventScroll: true });
  };
})(window.explorer);

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

/* Put the page together, and draw anew what a change concerns. */
(function (explorer) {
  "use strict";

  const { state } = explorer;
  const SHAPING = ["a", "b", "threshold", "profile", "modalities", "experiments", "statuses", "text"];
  const touches = (changed, names) => names.some((name) => changed.has(name));

  function draw(current, changed) {
    const places = explorer.selection(current);
    if (touches(changed, SHAPING)) {
      explorer.drawFilters(current, places);
      explorer.drawLegend(places);
      explorer.drawSummary(current, places);
      explorer.drawScatter(current, places);
    }
    if (touches(changed, [...SHAPING, "methodsBy", "methodsDown"])) explorer.drawMethods(current, places);
    if (touches(changed, [...SHAPING, "sort", "down", "wide", "open"])) explorer.drawTable(current, places);
    if (touches(changed, [...SHAPING, "gallery"])) explorer.drawGallery(current, places);
    if (touches(changed, [...SHAPING, "open", "sort", "down"])) explorer.drawPanel(current, changed);
  }

  explorer.buildFilters();
  explorer.buildScatter();
  explorer.buildTable();
  explorer.buildGallery();
  explorer.buildPanel();
  state.listen(draw);
  draw(state.get(), new Set(Object.keys(state.get())));
  document.documentElement.dataset.ready = String(Math.round(window.performance.now()));
})(window.explorer);
