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
