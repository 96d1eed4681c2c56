// Sort a table by the clicked column, by the number in data-value where a cell has one.
document.querySelectorAll("th.sortable").forEach(function (head) {
  head.addEventListener("click", function () {
    var body = head.closest("table").tBodies[0], column = head.cellIndex;
    var down = head.dataset.down !== "yes";
    head.dataset.down = down ? "yes" : "no";
    var value = function (row) {
      var cell = row.cells[column];
      return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
    };
    Array.from(body.rows).sort(function (a, b) {
      var x = value(a), y = value(b), order = x < y ? -1 : x > y ? 1 : 0;
      return down ? -order : order;
    }).forEach(function (row) { body.appendChild(row); });
  });
});

// Plots are drawn for a light page; where the page is dark their words and grids follow it.
(function () {
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var follow = function () {
    if (!window.Plotly) { return; }
    var style = getComputedStyle(document.documentElement);
    var ink = style.getPropertyValue("--ink").trim(), grid = style.getPropertyValue("--grid").trim();
    document.querySelectorAll(".js-plotly-plot").forEach(function (plot) {
      var change = {"font.color": ink};
      Object.keys(plot.layout).forEach(function (key) {
        if (/^[xy]axis/.test(key)) { change[key + ".gridcolor"] = grid; }
      });
      Plotly.relayout(plot, change);
    });
  };
  dark.addEventListener("change", follow);
  if (dark.matches) { window.addEventListener("load", follow); }
})();
