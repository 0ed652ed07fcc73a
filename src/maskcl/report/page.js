// Tables sort at a click on a column's name: down, up, then as they were. Rows without a number stay last.
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0], before = [...body.rows], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.setAttribute("aria-sort", "none");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numbers = !head.classList.contains("name");
      const [first, second] = numbers ? ["descending", "ascending"] : ["ascending", "descending"];
      const next = { none: first, [first]: second, [second]: "none" }[head.getAttribute("aria-sort")];
      heads.forEach((other) => other.setAttribute("aria-sort", other === head ? next : "none"));
      table.classList.toggle("sorted", next !== "none");
      const sign = next === "ascending" ? 1 : -1;
      const key = (row) => row.cells[column].dataset.sort;
      const compare = (a, b) => {
        if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
        const [x, y] = [Number(key(a)), Number(key(b))];
        const both = !Number.isNaN(x) && !Number.isNaN(y);
        return sign * (both ? Math.sign(x - y) || 0 : key(a).localeCompare(key(b), "en", { numeric: true }));
      };
      body.append(...(next === "none" ? before : [...before].sort(compare)));
    });
  });
}
// The picture is in the page once; what is saved as SVG is the same bytes.
for (const link of document.querySelectorAll("a.svg")) link.href = link.closest("figure").querySelector("img").src;
