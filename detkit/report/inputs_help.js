// The keys of the page: what each does, and the dialog that lists them.

const KEYS = [];  // {names, text, act}: the names are those of KeyboardEvent.key

function onKey(names, text, act) {
  KEYS.push({names, text, act});
}

const SHOWN = {ArrowRight: "→", ArrowLeft: "←", Escape: "Esc"};

function listenToKeys() {
  const dialog = find("keys");
  onKey(["?"], "show or close this list", () => (dialog.open ? dialog.close() : dialog.showModal()));
  find("help").addEventListener("click", () => dialog.showModal());
  find("keys-list").append(...KEYS.flatMap(({names, text}) => [
    make("dt", {}, ...names.flatMap((name, index) => [index ? " " : "", make("kbd", {}, SHOWN[name] || name)])),
    make("dd", {}, text)]));
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    // A list of choices and a field take their own keys.
    if (event.target.matches("select") && event.key !== "Escape") return;
    const found = KEYS.find(({names}) => names.includes(event.key));
    if (!found || (dialog.open && event.key !== "?")) return;
    event.preventDefault();
    found.act();
  });
}
