// Draws the one chart of a page from the JSON beside it, in the colours of the style sheet.
(() => {
  "use strict";
  const canvas = document.getElementById("chart");
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const tint = (name, percent) => `color-mix(in srgb, ${colour(name)} ${percent}%, transparent)`;
  let chart = null;

  function stacked() {
    const datasets = Object.entries(data.shards).map(([shard, values]) => ({
      label: shard || "all websites",
      data: values,
      backgroundColor: colour(`--series-${window.shardColour(shard)}`),
      borderRadius: 3,
      maxBarThickness: 46,
    }));
    return { type: "bar", datasets, stack: true };
  }

  function visits() {
    const line = (label, values, name) => ({
      label,
      data: values,
      borderColor: colour(name),
      backgroundColor: tint(name, 14),
      pointBackgroundColor: colour(name),
      pointRadius: values.length > 40 ? 0 : 2.5,
      borderWidth: 2,
      fill: true,
      // Straight enough not to dip below zero.
      cubicInterpolationMode: "monotone",
    });
    const datasets = [line("Page views", data.views, "--series-0"), line("Visitors", data.visitors, "--series-1")];
    return { type: "line", datasets, stack: false };
  }

  function draw() {
    if (chart) chart.destroy();
    const { type, datasets, stack } = canvas.dataset.kind === "stacked" ? stacked() : visits();
    const grid = { color: colour("--line"), drawTicks: false };
    const ticks = { color: colour("--quiet"), padding: 8 };
    chart = new Chart(canvas, {
      type,
      data: { labels: data.labels, datasets },
      options: {
        animation: false,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        font: { family: colour("--font") },
        scales: {
          x: { stacked: stack, grid: { display: false }, border: { color: colour("--line") }, ticks: { ...ticks, maxRotation: 0, autoSkipPadding: 18 } },
          y: { stacked: stack, beginAtZero: true, grid, border: { display: false }, ticks: { ...ticks, precision: 0, maxTicksLimit: 6 } },
        },
        plugins: {
          legend: { align: "end", labels: { color: colour("--text"), usePointStyle: true, pointStyle: "rectRounded", boxHeight: 7 } },
          tooltip: { boxPadding: 4, usePointStyle: true },
        },
      },
    });
  }

  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  document.addEventListener("themechange", draw);
  document.addEventListener("DOMContentLoaded", draw);
})();
