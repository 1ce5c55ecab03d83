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
