// Sorts the first block of rows of a table by a column: numbers from the highest, text from A.
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
  // The first column names the rows; in the others what is no number stands last.
  const value = (row, column) => {
    const cell = row.cells[column].cloneNode(true);
    cell.querySelector("small")?.remove();
    const text = cell.textContent.trim();
    if (column === 0) return text;
    const number = Number.parseFloat(text.replace("−", "-").replace(",", ""));
    return Number.isNaN(number) ? null : number;
  };
  const compared = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.title = "Sort by this column";
    head.append(button);
    const first = column === 0 ? "ascending" : "descending";
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const next = now === null ? first : now === "descending" ? "ascending" : "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      const sorted = [...rows].sort((a, b) => compared(value(a, column), value(b, column), sign));
      for (const row of sorted) body.insertBefore(row, behind);
    });
  });
}
