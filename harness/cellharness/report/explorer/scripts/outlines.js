/* Outlines: their files are loaded when they are first shown, their text becomes SVG paths, and
   what a cell is at a threshold sorts them: correct, wrong, missed ... */
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

  /* Turn the text of all outlines of an image (see chains.py) into the data of SVG paths, one an
     outline. Corners are cut at the middles of pixel edges; edges on the frame are not drawn,
     since there the picture ends and not the cell. */
  function pathsOf(text, width, height) {
    const paths = [];
    let at = 0;
    while (at < text.length) {
      const parts = [];
      let start = 0;
      for (const end = at + 4; at < end; at += 1) start = start * 81 + digit(text, at);
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
      paths.push(parts.join(""));
    }
    return paths;
  }

  /* The paths of a side, which is the truth or a method; made when they are first asked for. */
  function paths(found, side) {
    side.paths ??= pathsOf(side.cells, ...found.grid);
    return side.paths;
  }

  /* Share outlines out: those of cells at the border, matched at a threshold, and not matched. */
  function share(all, levels, threshold) {
    const parts = { border: "", matched: "", alone: "" };
    all.forEach((path, i) => {
      // "/" stands before "0", see pictures.py.
      const level = levels.charCodeAt(i) - 48;
      parts[level < 0 ? "border" : level > threshold ? "matched" : "alone"] += path;
    });
    return parts;
  }

  explorer.outlines = {
    /* Path data of the truth alone. */
    ofTruth(found) {
      const { border, alone } = share(paths(found, found.truth), found.truth.levels, 0);
      return { truth: alone, excluded: border };
    },

    /* Path data of what a method made of the image, by kind of outline, as in the report's own
       panels; a method without a mask has missed every cell. */
    ofMethod(found, method, threshold) {
      const made = found.methods[method];
      const truth = share(paths(found, found.truth), made?.truth || found.truth.levels, threshold);
      if (made?.cells === undefined) return { missed: truth.alone, excluded: truth.border };
      const own = share(paths(found, made), made.levels, threshold);
      return {
        truth: truth.matched,
        missed: truth.alone,
        correct: own.matched,
        wrong: own.alone,
        excluded: truth.border + own.border,
      };
    },

    /* All cells of a method. */
    all(found, method) {
      const made = found.methods[method];
      return made?.cells ? paths(found, made).join("") : "";
    },

    /* Correct, wrong and missed cells of the whole image; null where there is no mask. */
    counts(found, method, threshold) {
      const made = found.methods[method];
      if (!made?.tp) return null;
      const correct = made.tp[threshold];
      return { correct, wrong: made.n - correct, missed: found.truth.n - correct };
    },

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
