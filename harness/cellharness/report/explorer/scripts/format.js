/* How numbers and names are written, the same way everywhere and as in the report. */
(function (explorer) {
  "use strict";

  const NOTHING = "–";

  function fixed(value, digits) {
    return Number.isNaN(value) ? NOTHING : value.toFixed(digits);
  }

  explorer.format = {
    NOTHING,
    f1(value) {
      return Number.isNaN(value) ? "left out" : value.toFixed(3);
    },
    signed(value) {
      if (Number.isNaN(value)) return NOTHING;
      const text = Math.abs(value).toFixed(3);
      if (Number(text) === 0) return "0";
      return (value > 0 ? "+" : "−") + text;
    },
    whole(value) {
      return Number.isNaN(value) ? NOTHING : value.toLocaleString("en-US", { maximumFractionDigits: 0 });
    },
    /* Three significant digits, but at most three decimals. */
    seconds(value) {
      if (Number.isNaN(value)) return NOTHING;
      if (value === 0) return "0";
      const decimals = 2 - Math.floor(Math.log10(Math.abs(value)));
      return fixed(value, Math.min(3, Math.max(0, decimals)));
    },
    p(value) {
      if (Number.isNaN(value)) return "not tested, no image differs";
      return value < 0.0001 ? "p < 0.0001" : "p = " + Number(value.toPrecision(2));
    },
    threshold(value) {
      return String(Number(value.toFixed(4)));
    },
    count(n, noun) {
      return n.toLocaleString("en-US") + " " + noun + (n === 1 ? "" : "s");
    },
  };

  /* Make an element: attributes, then children, text being text and never markup. */
  explorer.make = function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === false || value === null || value === undefined) continue;
      if (name === "style") element.style.cssText = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };

  explorer.byId = (id) => document.getElementById(id);

  /* A button of the lists of methods: compare this one as A, or as B. */
  explorer.chooser = function chooser(current, key, method) {
    const word = key.toUpperCase();
    const button = explorer.make("button", {
      type: "button",
      "data-choice": key + " " + method,
      "aria-pressed": current[key] === method ? "true" : "false",
      "aria-label": explorer.model.methods[method].label + " as " + word,
    }, word);
    button.addEventListener("click", () => explorer.state.set({ [key]: method }));
    return button;
  };

  explorer.swatch = function swatch(method) {
    return explorer.make("i", { class: "swatch", style: "background:" + method.colour });
  };
})(window.explorer);
