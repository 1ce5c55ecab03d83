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
