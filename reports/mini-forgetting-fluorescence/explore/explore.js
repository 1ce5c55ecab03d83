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
  const tests = floats(data.tests.numbers);
  const outcomes = bytes(data.tests.outcomes);
  const met = new Uint16Array(bytes(data.met.which).buffer);

  const messages = new Map();
  for (const [method, place, text] of data.messages.where) {
    messages.set(method * nCases + place, data.messages.texts[text]);
  }

  const segmented = new Set(data.segmented);
  const experiments = [...new Set(data.cases.map((each) => each.experiment))];
  experiments.sort(new Intl.Collator("en", { numeric: true }).compare);

  explorer.model = {
    methods: data.methods,
    outlines: data.outlines,
    tested: data.tests.how,
    unit: data.tests.unit,
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
    /* What a method had met of an image before, and by what that is known; empty texts where
       nothing is known. */
    met(method, place) {
      return data.met.what[met[method * nCases + place]];
    },
    anyMet: data.met.what.length > 1,
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
       and adjusted over the pairs, the interval of the mean, the number of units, and the verdict
       on the second or why there is none. Null where nothing was asked. */
    test(profile, threshold, group, one, other) {
      const [low, high] = one < other ? [one, other] : [other, one];
      const pair = low * nMethods - (low * (low + 1)) / 2 + (high - low - 1);
      const block = (profile * nThresholds + threshold) * nGroups + group;
      const at = (number) => tests[(block * 5 + number) * nPairs + pair];
      const outcome = data.tests.words[outcomes[block * nPairs + pair]];
      if (!outcome) return null;
      const turned = { higher: "lower", lower: "higher" };
      // The verdict of an estimate is on its first method.
      const verdict = one < other ? turned[outcome] || outcome : outcome;
      const ends = one < other ? [at(2), at(3)] : [-at(3), -at(2)];
      return { raw: at(0), adjusted: at(1), ends, units: at(4), verdict };
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

  explorer.byId = (id) => document.getElementById(id);

  /* A button of the lists of methods: compare this one as A, or as B. */
  explorer.chooser = function chooser(current, key, method) {
    const word = key.toUpperCase();
    const button = explorer.make("button", {
      type: "button",
      "data-choice": key + " " + method,
      "aria-pressed": current[key] === method ? "true" : "false",
      "aria-label": explorer.model.methods[method].label + " as " + word,
    }, word);
    button.addEventListener("click", () => explorer.state.set({ [key]: method }));
    return button;
  };

  explorer.swatch = function swatch(method) {
    return explorer.make("i", { class: "swatch", style: "background:" + method.colour });
  };
})(window.explorer);

/* What the reader chose: kept in the address after #, so that a view can be sent to others, and in
   the browser's history, so that Back undoes the last choice. */
(function (explorer) {
  "use strict";

  const model = explorer.model;
  const GALLERIES = ["low-a", "low-b", "a-ahead", "b-ahead"];
  const LAYERS = ["truth", "correct", "wrong", "missed", "excluded", "other"];
  const METHODS_BY = ["method", "median", "mean", "n", "failed", "seconds"];
  const WHOLE = { scale: 1, x: 0.5, y: 0.5 };
  const PLAIN = { low: 0, high: 1, gamma: 1 };
  const MOST_ZOOM = 32;
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
      layers: new Set(LAYERS.filter((name) => name !== "other")),
      view: WHOLE, // scale, and what stands in the middle as a share of width and height
      contrast: PLAIN, // what becomes black and white, 0 to 1, and the exponent
    };
  }

  const lists = {
    modalities: ["m", model.modalities.map((each) => each.name), "modality"],
    experiments: ["e", model.experiments, "experiment"],
    statuses: ["s", model.statuses, "status"],
  };
  const SORTS = [
    "case", "modality", "experiment", "seen", "cells", "a", "b", "difference",
    "status-a", "status-b", "met-a", "met-b", "seconds-a", "seconds-b",
    ...model.methods.map((each) => "m-" + each.name),
  ];

  function numbers(text, names, valid) {
    const values = text.split("_").map((each) => (each === "" ? NaN : Number(each)));
    if (values.length !== names.length) return null;
    const found = Object.fromEntries(names.map((name, i) => [name, values[i]]));
    return valid(found) ? found : null;
  }

  function viewOf(text) {
    const inside = (value) => value >= 0 && value <= 1;
    return numbers(text, ["scale", "x", "y"], ({ scale, x, y }) =>
      scale >= 1 && scale <= MOST_ZOOM && inside(x) && inside(y));
  }

  function contrastOf(text) {
    return numbers(text, ["low", "high", "gamma"], ({ low, high, gamma }) =>
      low >= 0 && high <= 1 && low < high && gamma >= 0.2 && gamma <= 5);
  }

  /* Read an address; what it names and the run does not have is told in `problems`. */
  function read(address) {
    const given = new URLSearchParams(address.replace(/^#/, ""));
    const state = start();
    const problems = [];

    function wrong(what, value, names) {
      const few = names.length <= 8;
      const valid = (few ? "there are " : "there are " + names.length + ", such as ") + (few ? names : names.slice(0, 3)).join(", ");
      problems.push(`The address names the ${what} “${value}”, which this run does not have; ${valid}.`);
    }

    /* Look the value of `key` up among names. */
    function place(key, what, names, otherwise) {
      const value = given.get(key);
      if (value === null || value === "") return otherwise;
      const found = names.indexOf(value);
      if (found < 0) wrong(what, value, names);
      return found < 0 ? otherwise : found;
    }

    function sorting(key, what, names, usual) {
      const [name, way] = (given.get(key) || usual).split(/\.(?=down$)/);
      if (names.includes(name)) return [name, way === "down"];
      wrong(what, name, names);
      const [first, direction] = usual.split(".");
      return [first, direction === "down"];
    }

    function shape(key, what, reader, usual) {
      if (!given.has(key)) return usual;
      const found = reader(given.get(key));
      if (!found) problems.push(`The address gives the ${what} “${given.get(key)}”, which is none that can be shown; it is left as it is.`);
      return found || usual;
    }

    const methods = model.methods.map((each) => each.name);
    state.a = place("a", "method", methods, state.a);
    state.b = place("b", "method", methods, state.b);
    if (given.get("t")) {
      const near = model.thresholds.findIndex((each) => Math.abs(each - Number(given.get("t"))) < 1e-6);
      if (near >= 0) state.threshold = near;
      else wrong("threshold", given.get("t"), model.thresholds.map(String));
    }
    state.profile = place("p", "profile", model.profiles, state.profile);
    for (const [name, [key, all, what]] of Object.entries(lists)) {
      if (!given.has(key)) continue;
      const wanted = given.getAll(key);
      for (const each of wanted) if (each && !all.includes(each)) wrong(what, each, all);
      const known = wanted.filter((each) => all.includes(each));
      // A filter of which nothing is known would hide every image.
      if (known.length || wanted.every((each) => each === "")) state[name] = new Set(known);
    }
    state.text = given.get("q") || "";
    [state.methodsBy, state.methodsDown] = sorting("methods", "column", METHODS_BY, "median.down");
    [state.sort, state.down] = sorting("sort", "column", SORTS, "case");
    state.wide = given.get("columns") === "all";
    state.gallery = GALLERIES[place("worst", "order of images", GALLERIES, 0)];
    const names = model.cases.map((each) => each.name);
    state.open = place("case", "image", names, -1);
    if (given.has("layers")) {
      state.layers = new Set(given.get("layers").split(".").filter((each) => LAYERS.includes(each)));
    }
    state.view = shape("zoom", "zoom", viewOf, WHOLE);
    state.contrast = shape("contrast", "contrast", contrastOf, PLAIN);
    return [state, problems];
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
    const shown = LAYERS.filter((name) => state.layers.has(name)).join(".");
    if (shown !== [...usual.layers].join(".")) told.set("layers", shown);
    const { scale, x, y } = state.view;
    if (scale !== 1) told.set("zoom", [scale.toFixed(3), x.toFixed(4), y.toFixed(4)].join("_"));
    const { low, high, gamma } = state.contrast;
    if (low !== 0 || high !== 1 || gamma !== 1) told.set("contrast", [low, high, gamma].join("_"));
    return "#" + told.toString();
  }

  let [current, problems] = read(window.location.hash);
  let timer = 0;

  function tell(changed) {
    for (const listener of listeners) listener(current, changed);
  }

  function replaceAddress() {
    window.clearTimeout(timer);
    timer = 0;
    window.history.replaceState(null, "", write(current));
  }

  function readAgain() {
    window.clearTimeout(timer);
    // Links within the page have no "=".
    const { hash } = window.location;
    if (hash && !hash.includes("=")) return;
    if (hash === write(current)) return;
    [current, problems] = read(hash);
    tell(new Set(Object.keys(current)));
  }
  // Back and Forward, and an address that is typed.
  window.addEventListener("popstate", readAgain);
  window.addEventListener("hashchange", readAgain);

  explorer.WHOLE = WHOLE;
  explorer.PLAIN = PLAIN;
  explorer.MOST_ZOOM = MOST_ZOOM;
  explorer.LAYERS = LAYERS;

  explorer.state = {
    get() {
      return current;
    },
    /* What the address asked for in vain, in sentences; nothing after the reader's next choice. */
    problems() {
      return problems;
    },
    /* Change what is chosen: a step that Back undoes, or with `goesOn` part of the one before, as
       while a slider is drawn or a text is typed. */
    set(changes, { goesOn = false } = {}) {
      const changed = new Set();
      for (const [name, value] of Object.entries(changes)) {
        if (current[name] !== value) changed.add(name);
      }
      if (changed.size === 0) return;
      if (!goesOn) {
        if (timer) replaceAddress();
        problems = [];
      }
      current = { ...current, ...changes };
      if (goesOn) {
        window.clearTimeout(timer);
        // Browsers refuse many changes of the address in a short time.
        timer = window.setTimeout(replaceAddress, 150);
      } else {
        window.history.pushState(null, "", write(current));
      }
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

  /* What the estimates that were made with the report say; nothing is tested here. */
  function testWords(state) {
    if (state.a === state.b) {
      return "A and B are the same method: every difference is 0. Choose another to compare.";
    }
    const group = explorer.groupOf(state);
    if (group < 0) return "Tested for all images and for single modalities only, not under other filters.";
    const test = model.test(state.profile, state.threshold, group, state.a, state.b);
    const oracle = [state.a, state.b].map((method) => model.methods[method]).find((each) => each.oracle);
    if (oracle) return `Not tested: ${oracle.label} reads the truth, an upper bound that competes with nobody.`;
    if (!test) return "Not tested for these images.";
    if (Number.isNaN(test.raw)) return "Not tested: " + test.verdict + ".";
    const ends = test.ends.map(format.signed).join(" to ");
    const adjusted = test.adjusted > test.raw ? ", corrected " + format.p(test.adjusted) : "";
    const verdict = { higher: "B is higher", lower: "B is lower" }[test.verdict] || "the difference is " + test.verdict;
    return `Mean difference: ${ends}, ${format.p(test.raw)}${adjusted}, over ${format.count(test.units, model.unit)}; ${verdict}. ${model.tested}`;
  }

  explorer.drawSummary = function drawSummary(state, places) {
    const box = explorer.byId("summary");
    explorer.byId("test").textContent = places.length ? testWords(state) : "";
    box.hidden = !places.length;
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
  };
})(window.explorer);

/* Outlines: their files are loaded when they are first shown, their text becomes SVG paths, and
   what a cell is at a threshold sorts them: correct, wrong, missed ... */
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

  /* Turn the text of all outlines of an image (see chains.py) into the data of SVG paths, one an
     outline. Corners are cut at the middles of pixel edges; edges on the frame are not drawn,
     since there the picture ends and not the cell. */
  function pathsOf(text, width, height) {
    const paths = [];
    let at = 0;
    while (at < text.length) {
      const parts = [];
      let start = 0;
      for (const end = at + 4; at < end; at += 1) start = start * 81 + digit(text, at);
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
      paths.push(parts.join(""));
    }
    return paths;
  }

  /* The paths of a side, which is the truth or a method; made when they are first asked for. */
  function paths(found, side) {
    side.paths ??= pathsOf(side.cells, ...found.grid);
    return side.paths;
  }

  /* Share outlines out: those of cells at the border, matched at a threshold, and not matched. */
  function share(all, levels, threshold) {
    const parts = { border: "", matched: "", alone: "" };
    all.forEach((path, i) => {
      // "/" stands before "0", see pictures.py.
      const level = levels.charCodeAt(i) - 48;
      parts[level < 0 ? "border" : level > threshold ? "matched" : "alone"] += path;
    });
    return parts;
  }

  explorer.outlines = {
    /* Path data of the truth alone. */
    ofTruth(found) {
      const { border, alone } = share(paths(found, found.truth), found.truth.levels, 0);
      return { truth: alone, excluded: border };
    },

    /* Path data of what a method made of the image, by kind of outline, as in the report's own
       panels; a method without a mask has missed every cell. */
    ofMethod(found, method, threshold) {
      const made = found.methods[method];
      const truth = share(paths(found, found.truth), made?.truth || found.truth.levels, threshold);
      if (made?.cells === undefined) return { missed: truth.alone, excluded: truth.border };
      const own = share(paths(found, made), made.levels, threshold);
      return {
        truth: truth.matched,
        missed: truth.alone,
        correct: own.matched,
        wrong: own.alone,
        excluded: truth.border + own.border,
      };
    },

    /* All cells of a method. */
    all(found, method) {
      const made = found.methods[method];
      return made?.cells ? paths(found, made).join("") : "";
    },

    /* Correct, wrong and missed cells of the whole image; null where there is no mask. */
    counts(found, method, threshold) {
      const made = found.methods[method];
      if (!made?.tp) return null;
      const correct = made.tp[threshold];
      return { correct, wrong: made.n - correct, missed: found.truth.n - correct };
    },

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

/* The controls at the top: methods, threshold, profile, and which images. */
(function (explorer) {
  "use strict";

  const { model, state, format, make, byId } = explorer;

  function methodChoice(id, key) {
    const select = byId(id);
    model.methods.forEach((method, place) => {
      select.append(make("option", { value: place }, method.label));
    });
    select.addEventListener("change", () => state.set({ [key]: Number(select.value) }));
  }

  /* Choose while a slider is drawn or a text is typed; Back undoes all of it. */
  function lasting(input, changes) {
    let goesOn = false;
    input.addEventListener("input", () => {
      state.set(changes(), { goesOn });
      goesOn = true;
    });
    input.addEventListener("change", () => {
      goesOn = false;
    });
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
    lasting(slider, () => ({ threshold: Number(slider.value) }));

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
    lasting(text, () => ({ text: text.value }));
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

  /* Say what the address asked for in vain. */
  explorer.drawProblems = function drawProblems() {
    const problems = state.problems();
    byId("told").hidden = problems.length === 0;
    byId("told").replaceChildren(...problems.map((text) => make("p", {}, text)));
  };

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
      explorer.open(points[found].place);
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
    explorer.drawPreview(state.get(), each.place, here - 1, true);
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
      if (active >= 0) explorer.open(points[active].place);
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
    else explorer.drawPreview(current, mostDifferent(), 0, false);
    explorer.byId("nothing").hidden = points.length > 0;
  };

  /* Of the images with a picture that on which A and B differ most; -1 where there is none. */
  function mostDifferent() {
    const known = points.filter((each) => model.cases[each.place].picture && each.difference);
    const size = (each) => Math.abs(each.difference);
    return known.reduce((most, each) => (most && size(most) >= size(each) ? most : each), null)?.place ?? -1;
  }

  function modality(each) {
    return model.modalities[model.cases[each.place].modality];
  }

  explorer.drawLegend = function drawLegend(places) {
    const shown = new Set(places.map((place) => model.cases[place].modality));
    const items = [...shown].sort((i, j) => i - j).map((i) =>
      make("li", {}, explorer.markerIcon(model.modalities[i]), model.modalities[i].name));
    explorer.byId("markers").replaceChildren(...items);
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
      make("td", { class: "choose" }, explorer.chooser(current, "a", row.method), explorer.chooser(current, "b", row.method)),
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
      return make("th", { scope: "col", class: each.number ? "num" : null, "aria-sort": chosen ? direction : null }, button);
    });
    return make("tr", {}, ...cells, make("th", { scope: "col" }, "Compare as"));
  }

  explorer.drawMethods = function drawMethods(current, places) {
    const table = explorer.byId("methods-table");
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

  const SEEN_KNOWN = model.cases.some((each) => each.seen !== null);

  let order = [];
  let columns = [];
  let active = -1;
  let drawn = "";

  /* `name` is that of the column in the csv. */
  function column(key, name, title, width, value, text, options = {}) {
    return { key, name, title, width, value, text: text || value, ...options };
  }

  function twoColumns(current) {
    const score = (which) => (place) => explorer.scoresOf(current, place)[which];
    const number = { number: true };
    const [a, b] = [current.a, current.b];
    const label = (method) => model.methods[method].label;
    const named = (measure, which) => `${measure}_${which}_${model.methods[current[which]].name}`;
    return [
      column("a", named("f1", "a"), ["F1 of A", label(a)], 7.5, score("a"), (p) => format.f1(score("a")(p)), number),
      column("b", named("f1", "b"), ["F1 of B", label(b)], 7.5, score("b"), (p) => format.f1(score("b")(p)), number),
      column("difference", "difference_b_less_a", ["B − A"], 5, score("difference"), (p) => format.signed(score("difference")(p)), number),
      column("status-a", named("status", "a"), ["Status", "A"], 5, (p) => model.status(a, p)),
      column("status-b", named("status", "b"), ["Status", "B"], 5, (p) => model.status(b, p)),
      ...(model.anyMet
        ? ["a", "b"].map((which) =>
            column("met-" + which, named("met", which), ["Had met", which.toUpperCase()], 5.5, (p) => model.met(current[which], p)[0]))
        : []),
      column("seconds-a", named("seconds", "a"), ["Seconds", "A"], 5.5, (p) => model.seconds(a, p), (p) => format.seconds(model.seconds(a, p)), number),
      column("seconds-b", named("seconds", "b"), ["Seconds", "B"], 5.5, (p) => model.seconds(b, p), (p) => format.seconds(model.seconds(b, p)), number),
    ];
  }

  function allColumns(current) {
    return model.methods.map((method, m) => {
      const value = (place) => model.f1(current.profile, current.threshold, m, place);
      const text = (place) =>
        model.hasMask(m, place) ? format.f1(value(place)) : format.f1(value(place)) + " " + model.status(m, place);
      return column("m-" + method.name, "f1_" + method.name, ["F1", method.label], 7.5, value, text, { number: true });
    });
  }

  const seen = (place) => ({ true: "yes", false: "no" })[model.cases[place].seen] || "";

  /* Wide enough for the longest text, within bounds; in rem. */
  function widthOf(texts) {
    const longest = Math.max(...texts.map((text) => text.length));
    return Math.min(13, Math.max(6, 1 + 0.5 * longest));
  }

  function allOf(current) {
    return [
      column("case", "case", ["Image"], widthOf(model.cases.map((each) => each.name)), (p) => model.cases[p].name),
      column("modality", "modality", ["Modality"], 7.5, (p) => model.modalities[model.cases[p].modality].name),
      column("experiment", "experiment", ["Experiment"], widthOf(model.experiments), (p) => model.cases[p].experiment),
      ...(SEEN_KNOWN ? [column("seen", "seen", ["Seen", "experiment"], 5, seen)] : []),
      column("cells", "n_true", ["Cells"], 4.5, (p) => model.cells(p), (p) => format.whole(model.cells(p)), { number: true }),
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
    const table = explorer.byId("table");
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
        return make("th", { scope: "col", class: each.number ? "num" : null, "aria-sort": chosen ? direction : null }, button);
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
    const box = explorer.byId("table-box");
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
    const box = explorer.byId("table-box");
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
    const page = Math.max(1, Math.floor(explorer.byId("table-box").clientHeight / ROW) - 2);
    const moves = {
      ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page,
      Home: 0, End: order.length - 1,
    };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      active = at;
      explorer.open(order[at]);
    } else if (event.key in moves) {
      event.preventDefault();
      goTo(moves[event.key]);
    }
  }

  /* The table as it stands, every row of it, as csv: numbers unrounded, nothing where there is
     no value. */
  explorer.csv = function csv(current) {
    const { profiles, thresholds } = model;
    const about = [["profile", profiles[current.profile]], ["threshold", format.threshold(thresholds[current.threshold])]];
    const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const written = (value) => {
      if (typeof value !== "number") return quoted(String(value));
      // Scores are kept in single precision.
      return Number.isNaN(value) ? "" : String(Number(value.toPrecision(7)));
    };
    const row = (values) => values.join(",");
    const head = [...columns.map((each) => each.name), ...about.map(([name]) => name)].map(quoted);
    const lines = order.map((place) =>
      row([...columns.map((each) => written(each.value(place))), ...about.map(([, value]) => quoted(value))]));
    return [row(head), ...lines].join("\n") + "\n";
  };

  function download() {
    const file = new Blob([explorer.csv(state.get())], { type: "text/csv;charset=utf-8" });
    const link = make("a", { href: URL.createObjectURL(file), download: "images.csv" });
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  explorer.buildTable = function buildTable() {
    const box = explorer.byId("table-box");
    const body = document.querySelector("#table tbody");
    box.addEventListener("scroll", () => window.requestAnimationFrame(() => drawRows(false)));
    new ResizeObserver(() => drawRows(false)).observe(box);
    body.addEventListener("keydown", onKey);
    body.addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-position]");
      if (!row) return;
      active = Number(row.dataset.position);
      row.focus({ preventScroll: true });
      explorer.open(order[active]);
    });
    const wide = explorer.byId("wide");
    wide.addEventListener("change", () => state.set({ wide: wide.checked }));
    explorer.byId("csv").addEventListener("click", download);
  };

  explorer.drawTable = function drawTable(current, places) {
    columns = allOf(current);
    const by = columns.find((each) => each.key === current.sort) || columns[0];
    const kept = active >= 0 ? order[active] : -1;
    order = explorer.sorted(places, by, current.down);
    active = order.indexOf(kept);
    explorer.byId("wide").checked = current.wide;
    explorer.byId("table").setAttribute("aria-rowcount", order.length + 1);
    explorer.byId("no-rows").hidden = order.length > 0;
    explorer.byId("table-box").hidden = order.length === 0;
    const csv = explorer.byId("csv");
    csv.disabled = order.length === 0;
    csv.textContent = "Download " + format.count(order.length, "row") + " as csv";
    head(current);
    drawRows(true);
  };

  /* The images as the table has them, for going from one to the next. */
  explorer.tableOrder = () => order;
})(window.explorer);

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

/* The pictures of an opened image: all panes zoom, pan and change contrast together. */
(function (explorer) {
  "use strict";

  const { model, state, format, make, byId, WHOLE, PLAIN, MOST_ZOOM } = explorer;
  const STEP = 1.5;
  const PAN = 0.2; // of what is in sight, at a press of an arrow
  const KEYS = { t: "truth", c: "correct", w: "wrong", m: "missed", b: "excluded", o: "other" };
  const fingers = new Map();

  /* Keep the middle so that the picture fills its pane. */
  function inside({ scale, x, y }) {
    const size = Math.min(MOST_ZOOM, Math.max(1, scale));
    if (size < 1.001) return WHOLE;
    const half = 0.5 / size;
    const within = (value) => Math.min(1 - half, Math.max(half, value));
    return { scale: size, x: within(x), y: within(y) };
  }

  function show(view) {
    state.set({ view: inside(view) }, { goesOn: true });
  }

  /* Zoom by a factor about a point of the pane, given as a share of its width and height. */
  function zoom(factor, at = { x: 0.5, y: 0.5 }) {
    const { scale, x, y } = state.get().view;
    const next = Math.min(MOST_ZOOM, Math.max(1, scale * factor));
    // The point under the pointer stays where it is.
    const shift = 1 / scale - 1 / next;
    show({ scale: next, x: x + (at.x - 0.5) * shift, y: y + (at.y - 0.5) * shift });
  }

  /* Move what is in sight by a share of the pane. */
  function pan(right, down) {
    const { scale, x, y } = state.get().view;
    show({ scale, x: x + right / scale, y: y + down / scale });
  }

  function pointIn(frame, x, y) {
    const box = frame.getBoundingClientRect();
    return { x: (x - box.left) / box.width, y: (y - box.top) / box.height, box };
  }

  function onWheel(event) {
    const frame = event.target.closest(".view");
    if (!frame) return;
    // Where nothing is left to zoom out of, the wheel scrolls.
    if (event.deltaY > 0 && state.get().view.scale === 1) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    const speed = event.ctrlKey ? 0.01 : 0.002; // a pinch on a touch pad comes as a wheel with Ctrl
    const turn = Math.max(-300, Math.min(300, event.deltaY * lines));
    zoom(Math.exp(-turn * speed), pointIn(frame, event.clientX, event.clientY));
  }

  function onDown(event) {
    const frame = event.target.closest(".view");
    if (!frame || (event.pointerType === "mouse" && event.button !== 0)) return;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size === 2 || state.get().view.scale > 1) frame.setPointerCapture(event.pointerId);
  }

  /* One finger or the mouse drags; two zoom by their distance and drag by their middle. */
  function onMove(event) {
    const before = fingers.get(event.pointerId);
    const frame = event.target.closest(".view");
    if (!before || !frame) return;
    const after = { x: event.clientX, y: event.clientY };
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    fingers.set(event.pointerId, after);
    const { box } = pointIn(frame, 0, 0);
    if (others.length === 0) {
      if (state.get().view.scale > 1) pan((before.x - after.x) / box.width, (before.y - after.y) / box.height);
    } else if (others.length === 1) {
      const [still] = others;
      const distance = (point) => Math.hypot(point.x - still.x, point.y - still.y);
      const middle = pointIn(frame, (after.x + still.x) / 2, (after.y + still.y) / 2);
      pan((before.x - after.x) / 2 / box.width, (before.y - after.y) / 2 / box.height);
      if (distance(before) > 0) zoom(distance(after) / distance(before), middle);
    }
  }

  function onUp(event) {
    fingers.delete(event.pointerId);
  }

  function toggle(kind) {
    const layers = new Set(state.get().layers);
    if (!layers.delete(kind)) layers.add(kind);
    state.set({ layers });
  }

  function contrast(changes, goesOn) {
    state.set({ contrast: { ...state.get().contrast, ...changes } }, { goesOn });
  }

  /* Answer a key of the opened image; false where it is none of the pictures'. */
  explorer.viewerKey = function viewerKey(event) {
    const { scale } = state.get().view;
    const moves = { ArrowLeft: [-PAN, 0], ArrowRight: [PAN, 0], ArrowUp: [0, -PAN], ArrowDown: [0, PAN] };
    const key = event.key.toLowerCase();
    if (event.key === "+" || event.key === "=") zoom(STEP);
    else if (event.key === "-") zoom(1 / STEP);
    else if (event.key === "0") show(WHOLE);
    else if (key === "r") contrast(PLAIN, false);
    else if (KEYS[key]) toggle(KEYS[key]);
    else if (scale > 1 && moves[event.key]) pan(...moves[event.key]);
    else return false;
    return true;
  };

  function buildLayers() {
    const letters = Object.entries(KEYS);
    byId("layers").append(
      ...explorer.LAYERS.map((kind) => {
        const [letter] = letters.find(([, named]) => named === kind);
        const input = make("input", { type: "checkbox", id: "layer-" + kind, "aria-keyshortcuts": letter });
        input.addEventListener("change", () => toggle(kind));
        return make("label", { title: `Key ${letter.toUpperCase()}` }, input, explorer.lineKey(kind),
          explorer.kindLabel(kind), make("kbd", { "aria-hidden": "true" }, letter.toUpperCase()));
      }),
    );
  }

  function buildContrast() {
    for (const name of ["low", "high", "gamma"]) {
      const input = byId("contrast-" + name);
      let drawing = false;
      input.addEventListener("input", () => {
        const { low, high } = state.get().contrast;
        let value = Number(input.value);
        // Black stays darker than white.
        if (name === "low") value = Math.min(value, high - 0.02);
        if (name === "high") value = Math.max(value, low + 0.02);
        // The scale of the exponent is logarithmic: as far to brighter as to darker.
        if (name === "gamma") value = 2 ** value;
        contrast({ [name]: Number(value.toFixed(2)) }, drawing);
        drawing = true;
      });
      input.addEventListener("change", () => {
        drawing = false;
        drawContrast(state.get());
      });
    }
    byId("contrast-reset").addEventListener("click", () => contrast(PLAIN, false));
  }

  explorer.buildViewer = function buildViewer() {
    const stage = byId("stage");
    stage.addEventListener("wheel", onWheel, { passive: false });
    stage.addEventListener("pointerdown", onDown);
    stage.addEventListener("pointermove", onMove);
    for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, onUp);
    stage.addEventListener("dblclick", (event) => {
      const frame = event.target.closest(".view");
      if (frame) zoom(2, pointIn(frame, event.clientX, event.clientY));
    });
    byId("zoom-in").addEventListener("click", () => zoom(STEP));
    byId("zoom-out").addEventListener("click", () => zoom(1 / STEP));
    byId("zoom-whole").addEventListener("click", () => show(WHOLE));
    buildLayers();
    buildContrast();
  };

  function drawContrast({ contrast: { low, high, gamma } }) {
    const plain = low === 0 && high === 1 && gamma === 1;
    byId("stage").classList.toggle("contrasted", !plain);
    byId("contrast-window").querySelectorAll("*").forEach((each) => {
      each.setAttribute("slope", 1 / (high - low));
      each.setAttribute("intercept", -low / (high - low));
    });
    byId("contrast-curve").querySelectorAll("*").forEach((each) => each.setAttribute("exponent", gamma));
    byId("contrast-low").value = low;
    byId("contrast-high").value = high;
    byId("contrast-gamma").value = Math.log2(gamma);
    byId("contrast-low-value").textContent = Math.round(100 * low) + " %";
    byId("contrast-high-value").textContent = Math.round(100 * high) + " %";
    byId("contrast-gamma-value").textContent = gamma.toFixed(2);
    byId("contrast-reset").disabled = plain;
  }

  /* Show the present part of the picture, contrast and layers. */
  explorer.applyView = function applyView(current) {
    const { scale, x, y } = current.view;
    const stage = byId("stage");
    stage.classList.toggle("zoomed", scale > 1);
    for (const sheet of stage.querySelectorAll(".sheet")) {
      sheet.style.width = sheet.style.height = 100 * scale + "%";
      sheet.style.left = 100 * (0.5 - x * scale) + "%";
      sheet.style.top = 100 * (0.5 - y * scale) + "%";
    }
    byId("zoom-value").textContent = Number(scale.toFixed(1)) + "×";
    byId("zoom-out").disabled = byId("zoom-whole").disabled = scale === 1;
    byId("zoom-in").disabled = scale === MOST_ZOOM;
    for (const kind of explorer.LAYERS) {
      document.body.classList.toggle("hide-" + kind, !current.layers.has(kind));
      byId("layer-" + kind).checked = current.layers.has(kind);
    }
    drawContrast(current);
  };

  function caption(current, which, found) {
    if (which === "truth") {
      return [make("span", { class: "lettered" }, "Truth"), make("small", {}, format.count(found?.truth.n ?? 0, "cell") + " that count")];
    }
    const counts = found && explorer.outlines.counts(found, current[which], current.threshold);
    const problem = found?.methods[current[which]]?.problem;
    const text = problem ? "no outline: " + problem
      : counts ? `${counts.correct} correct · ${counts.wrong} wrong · ${counts.missed} missed` : "";
    return [explorer.lettered(current, which), text ? make("small", {}, text) : null];
  }

  /* Put the panes of an image on the stage. */
  explorer.drawStage = function drawStage(current, place) {
    const stage = byId("stage");
    const shown = Boolean(model.cases[place].picture);
    byId("tools").hidden = !shown;
    if (!shown) {
      stage.replaceChildren(explorer.picture(current, place, "truth"));
      return;
    }
    const panes = ["truth", ...explorer.compared(current)].map((which) => {
      const under = make("figcaption", {});
      const pane = explorer.picture(current, place, which, {
        arrived(found) {
          under.replaceChildren(...caption(current, which, found).filter(Boolean));
        },
      });
      return make("figure", {}, pane, under);
    });
    stage.style.setProperty("--panes", panes.length);
    stage.style.setProperty("--ratio", model.cases[place].size[0] / model.cases[place].size[1]);
    stage.replaceChildren(...panes);
    byId("layers-at").textContent = "Outlines, IoU ≥ " + format.threshold(model.thresholds[current.threshold]);
  };
})(window.explorer);

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

/* Put the page together, and draw anew what a change concerns. */
(function (explorer) {
  "use strict";

  const { state } = explorer;
  const SHAPING = ["a", "b", "threshold", "profile", "modalities", "experiments", "statuses", "text"];
  const touches = (changed, names) => names.some((name) => changed.has(name));

  function draw(current, changed) {
    const places = explorer.selection(current);
    explorer.drawProblems();
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
    explorer.applyView(current);
  }

  explorer.buildFilters();
  explorer.buildScatter();
  explorer.buildTable();
  explorer.buildGallery();
  explorer.buildViewer();
  explorer.buildPanel();
  document.addEventListener("click", (event) => {
    // The address holds what is chosen, so that links within the page leave it alone.
    const link = event.target.closest('a[href^="#"]');
    const target = link && document.querySelector(link.getAttribute("href"));
    if (!target) return;
    event.preventDefault();
    target.scrollIntoView();
    if (!target.hasAttribute("tabindex")) target.setAttribute("tabindex", "-1");
    target.focus({ preventScroll: true });
  });
  state.listen(draw);
  draw(state.get(), new Set(Object.keys(state.get())));
  document.documentElement.dataset.ready = String(Math.round(window.performance.now()));
})(window.explorer);
