"use strict";
// Tables sort by a click, or a key press, on a column's name. Without this they read just the same.
for (const table of document.querySelectorAll("table.sorted")) {
  const body = table.tBodies[0];
  const first = [...body.rows];
  table.tHead.querySelectorAll("th:not(.many)").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")] || "ascending";
      table.tHead.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      if (next !== "none") head.setAttribute("aria-sort", next);
      const sign = next === "descending" ? -1 : 1;
      const order = (row) => row.cells[head.cellIndex].dataset.order;
      const text = (row) => row.cells[head.cellIndex].textContent;
      const missing = (row) => order(row) === undefined && text(row) === "–";
      const compare = (a, b) => {
        if (missing(a) || missing(b)) return missing(a) - missing(b);
        if (order(a) !== undefined && order(b) !== undefined) return sign * (order(a) - order(b));
        return sign * text(a).localeCompare(text(b), "en");
      };
      body.append(...(next === "none" ? first : [...first].sort(compare)));
    });
  });
}
