/* Outlines: their files are loaded when they are first shown, their text becomes SVG paths. */
(function (explorer) {
  "use strict";

  const ROWS = [0, 1, 0, -1]; // right, down, left, up
  const COLUMNS = [1, 0, -1, 0];
  const TURNS = [0, 3, 1]; // straight on, left, right
  const MOST_KEPT = 60;

  const kept = new Map();
  const waiting = new Map();

  function digit(text, place) {
    const code = text.charCodeAt(place);
    return code > 92 ? code - 36 : code - 35;
  }

  /* Turn the text of all outlines of an image (see chains.py) into the data of an SVG path.
     Corners are cut at the middles of pixel edges; edges on the frame are not drawn, since there
     the picture ends and not the cell. */
  function pathData(text, width, height) {
    const parts = [];
    let at = 0;
    while (at < text.length) {
      const start = (digit(text, at) * 81 + digit(text, at + 1)) * 81 + digit(text, at + 2);
      at += 3;
      const [y0, x0] = [Math.floor(start / (width + 1)), start % (width + 1)];
      let [y, x, heading, left, number] = [y0, x0, 0, 0, 0];
      let pen = false;
      let previous = -1;
      let first = "";
      let ended = false;
      while (!ended) {
        const [fromY, fromX, edge] = [y, x, heading];
        y += ROWS[heading];
        x += COLUMNS[heading];
        if (left === 0) {
          number = digit(text, at);
          at += 1;
          left = 4;
        }
        heading = (heading + TURNS[number % 3]) % 4;
        number = Math.floor(number / 3);
        left -= 1;
        ended = heading === 0 && y === y0 && x === x0;
        const framed =
          (fromY === y && (y === 0 || y === height)) || (fromX === x && (x === 0 || x === width));
        if (framed) {
          pen = false;
          previous = -1;
          continue;
        }
        // Middles on a straight run say nothing but the first and the last of them.
        if (pen && previous === edge && heading === edge && !ended) continue;
        const point = (fromX + x) / 2 + " " + (fromY + y) / 2;
        parts.push(pen ? "L" : "M", point);
        if (!first) first = fromY === y0 && fromX === x0 ? point : "open";
        pen = true;
        previous = edge;
      }
      if (pen && first !== "open") parts.push("L", first);
    }
    return parts.join("");
  }

  explorer.outlines = {
    pathData,

    /* Called by the files themselves. */
    arrived(name, found) {
      kept.set(name, found);
      if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
      for (const call of waiting.get(name) || []) call(found);
      waiting.delete(name);
    },

    /* Hand the outlines of an image to `call`: now, or when their file is there. */
    ask(name, call) {
      if (kept.has(name)) {
        call(kept.get(name));
        return;
      }
      if (waiting.has(name)) {
        waiting.get(name).push(call);
        return;
      }
      waiting.set(name, [call]);
      const script = document.createElement("script");
      script.src = "explore/outlines/" + name + ".js";
      script.addEventListener("load", () => script.remove());
      script.addEventListener("error", () => {
        waiting.delete(name);
        script.remove();
      });
      document.head.append(script);
    },
  };
})(window.explorer);
