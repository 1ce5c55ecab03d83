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
