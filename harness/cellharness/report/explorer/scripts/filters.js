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
