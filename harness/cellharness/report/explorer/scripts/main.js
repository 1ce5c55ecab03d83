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
