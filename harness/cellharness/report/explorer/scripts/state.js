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
