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
