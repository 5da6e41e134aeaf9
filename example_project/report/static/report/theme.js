// Light or dark: what the system prefers, until somebody presses the button. Loaded first, so nothing flashes.
(() => {
  "use strict";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = localStorage.getItem("theme");
  root.dataset.theme = stored || (dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => {
    if (!localStorage.getItem("theme")) switchTo(dark.matches ? "dark" : "light");
  });

  function switchTo(theme) {
    root.dataset.theme = theme;
    document.dispatchEvent(new Event("themechange"));
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const theme = root.dataset.theme === "dark" ? "light" : "dark";
      localStorage.setItem("theme", theme);
      switchTo(theme);
    });
    paintShards();
  });

  // Each shard has a colour: by the number at the end of its name, else by its letters.
  function paintShards() {
    for (const element of document.querySelectorAll("[data-shard]")) {
      element.style.setProperty("--shard", `var(--series-${shardColour(element.dataset.shard)})`);
    }
  }

  function shardColour(name) {
    const number = /(\d+)$/.exec(name);
    if (number) return (Number(number[1]) - 1) % 8;
    return [...name].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % 8;
  }

  window.shardColour = shardColour;
})();
