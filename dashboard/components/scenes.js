// Scenes: positions of the desk kept on four keys, a fader between the first two, and the buttons of undo.

const SCENES = ["A", "B", "C", "D"];

// Builds the foot of a desk; returns the function that draws it. does: {put, undo, redo}.
function buildScenes(foot, desk, does) {
  const keep = (name) => {
    desk.scenes = { ...desk.scenes, [name]: [...desk.values] };
    desk.tell("scenes", desk.scenes);
    desk.drawScenes();
  };
  const recall = (name) => (desk.scenes[name] ? does.put(between(desk, desk.scenes[name], desk.scenes[name], 0)) : keep(name));
  const undo = buttonOf(foot, "↶", "Undo", "the last move"), redo = buttonOf(foot, "↷", "Redo", "the last move");
  undo.addEventListener("click", does.undo);
  redo.addEventListener("click", does.redo);
  const group = add(foot, "div", "scenes", { role: "group", "aria-label": "Scenes" });
  add(group, "span", "word").textContent = "Scenes";
  const buttons = SCENES.map((name) => {
    const button = add(group, "button", "scene", { type: "button" });
    button.textContent = name;
    button.addEventListener("click", (event) => (event.shiftKey ? keep : recall)(name));
    return button;
  });
  const fader = add(foot, "label", "crossfader");
  add(fader, "span", "word").textContent = "A";
  const range = add(fader, "input", "", { type: "range", min: "0", max: "1", step: "0.01", "aria-label": "From scene A to scene B" });
  add(fader, "span", "word").textContent = "B";
  const cross = (settled) => does.put(between(desk, desk.scenes.A, desk.scenes.B, Number(range.value)), settled);
  range.addEventListener("input", () => cross(false));
  range.addEventListener("change", () => cross(true));
  foot.parentElement.addEventListener("keydown", (event) => {
    const name = event.key.toUpperCase();
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=range])")) return;
    if (SCENES.includes(name)) (event.shiftKey ? keep : recall)(name);
  });
  return () => {
    undo.disabled = desk.past.length < 2;
    redo.disabled = !desk.future.length;
    fader.hidden = !desk.scenes.A || !desk.scenes.B;
    if (!fader.hidden) range.value = wayBetween(desk, desk.scenes.A, desk.scenes.B) ?? range.value;
    buttons.forEach((button, place) => {
      const name = SCENES[place], kept = desk.scenes[name];
      const words = kept ? `Go to scene ${name}` : `Keep this position as scene ${name}`;
      button.setAttribute("aria-label", words);
      button.title = kept ? `${words}; with Shift, keep this position instead (keys ${name.toLowerCase()}, ${name})` : `${words} (key ${name.toLowerCase()})`;
      button.classList.toggle("kept", Boolean(kept));
      button.setAttribute("aria-pressed", String(Boolean(kept) && same(kept, desk.values)));
    });
  };
}
