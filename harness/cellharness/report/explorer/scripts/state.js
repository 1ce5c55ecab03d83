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
