// A table that a click on a head sorts.

// columns: [{name, value: row => to sort by, text: row => shown, first: "up" or "down"}].
// Returns {element, show(rows)}; the order stays when the rows change.
function sortable(columns, caption) {
  let chosen = null, rising = true, rows = [];
  const heads = columns.map(column => make("th", {scope: "col"},
    make("button", {type: "button", title: column.title, onclick: () => choose(column)}, column.name)));
  const body = make("tbody");
  const element = make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, ...heads)), body);

  function choose(column) {
    rising = chosen === column ? !rising : column.first === "up";
    chosen = column;
    heads.forEach((head, index) => {
      if (columns[index] === chosen) head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    render();
  }
  function render() {
    const ordered = chosen ? [...rows].sort((a, b) => compare(chosen.value(a), chosen.value(b), rising)) : rows;
    body.replaceChildren(...ordered.map(row => make("tr", {}, ...columns.map((column, index) =>
      make(index ? "td" : "th", index ? {} : {scope: "row"}, column.text(row))))));
  }
  return {
    element,
    show(newRows) {
      rows = newRows;
      render();
    },
  };
}

// Values that are not known come last, in both directions.
function compare(a, b, rising) {
  const missing = (a === null || a === undefined) - (b === null || b === undefined);
  if (missing) return missing;
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return rising ? order : -order;
}

// A table of rows of texts or nodes, the first cell of each row its head.
function plain(head, rows, caption) {
  return make("table", {}, make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...head.map(text => make("th", {scope: "col"}, text)))),
    make("tbody", {}, ...rows.map(row => make("tr", {}, ...row.map((cell, index) =>
      make(index ? "td" : "th", index ? {} : {scope: "row"}, cell))))));
}
