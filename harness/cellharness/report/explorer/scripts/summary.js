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
