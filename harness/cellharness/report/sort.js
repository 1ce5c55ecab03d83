// Sorts the first block of rows of a table by a column: numbers as numbers, the rest as text.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = table.querySelectorAll("thead tr:last-child th");
  const body = table.tBodies[0];
  const rows = [];
  for (const row of body.rows) {
    if (row.classList.contains("block")) break;
    rows.push(row);
  }
  if (rows.length < 2) continue;
  const behind = body.rows[rows.length] || null;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.title = "Sort by this column";
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => {
        const text = (row.cells[column].firstChild?.textContent || "").trim();
        const number = Number.parseFloat(text.replace("−", "-").replace(",", ""));
        return Number.isNaN(number) ? text : number;
      };
      const order = (a, b) => {
        const [first, second] = [value(a), value(b)];
        if (typeof first === "number" && typeof second === "number") return second - first;
        if (typeof first !== typeof second) return typeof first === "number" ? -1 : 1;
        return second.localeCompare(first);
      };
      for (const row of [...rows].sort((a, b) => (down ? 1 : -1) * order(a, b))) {
        body.insertBefore(row, behind);
      }
    });
  });
}
