// The button that makes a page dark or light; a page begins as the system is.

function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches, button = find("theme"), root = document.documentElement;
  function show(isDark) {
    root.dataset.theme = isDark ? "dark" : "light";
    button.textContent = isDark ? "Light" : "Dark";
  }
  show(dark);
  button.addEventListener("click", () => show(root.dataset.theme !== "dark"));
}
