// The tree of a desk: faders of groups, such as sources, with those of their domains folded below them, and a filter.

const FLAT = "domains"; // the choice of no level: every domain's fader, and no group's

// What is shown, by place: groups of the level chosen, the domains of open ones, and whatever the filter finds.
function shownPlaces(desk, tree) {
  const wanted = tree.filter.value.trim().toLowerCase();
  const finds = (i) => wanted !== "" && desk.faders[i].name.toLowerCase().includes(wanted);
  const places = [];
  if (tree.level.value === FLAT) desk.faders.forEach((_, i) => (wanted === "" || finds(i)) && places.push(i));
  else
    desk.groups.forEach((group, g) => {
      if (group.level !== tree.level.value) return;
      const named = wanted !== "" && group.name.toLowerCase().includes(wanted);
      const members = group.members.filter((i) => (wanted === "" ? tree.open.has(g) : finds(i) || (named && tree.open.has(g))));
      if (wanted === "" || named || members.length) places.push(desk.faders.length + g, ...members);
    });
  return places;
}

// Puts what is shown in its order, in rows of one length, and hides the rest.
function arrange(host, row, desk, tree) {
  const places = shownPlaces(desk, tree);
  desk.parts.forEach(({ box }) => (box.hidden = true));
  places.forEach((i, order) => {
    desk.parts[i].box.hidden = false;
    desk.parts[i].box.style.order = order;
  });
  desk.groups.forEach((_, g) => {
    const { open, box } = desk.parts[desk.faders.length + g];
    open.textContent = tree.open.has(g) ? "▾" : "▸";
    open.setAttribute("aria-expanded", String(tree.open.has(g)));
    box.classList.toggle("open", tree.open.has(g));
  });
  const rows = Math.max(1, Math.ceil(places.length / PER_ROW));
  row.style.setProperty("--columns", Math.max(1, Math.ceil(places.length / rows)));
  row.classList.toggle("tall", rows > 2);
  host.classList.toggle("low", rows === 1);
  tree.none.hidden = places.length > 0;
}

// Builds the bar above the faders; a few domains are at first all shown, many folded.
function buildTree(host, row, desk, draw) {
  const bar = document.createElement("div");
  bar.className = "bar";
  row.before(bar);
  const filter = add(bar, "input", "filter", { type: "search", placeholder: "Filter domains", "aria-label": "Filter domains", spellcheck: "false" });
  const level = add(bar, "select", "by", { "aria-label": "Faders of" });
  const levels = [FLAT, ...new Set(desk.groups.map((group) => group.level))];
  for (const name of levels) add(level, "option", "", { value: name }).textContent = name;
  level.value = desk.faders.length > PER_ROW && levels.length > 1 ? levels[1] : FLAT;
  level.hidden = levels.length === 1;
  const none = add(bar, "span", "none");
  none.textContent = "No domain has that in its name.";
  const tree = { filter, level, none, open: new Set() };
  const show = () => {
    arrange(host, row, desk, tree);
    draw();
  };
  filter.addEventListener("input", show);
  level.addEventListener("change", show);
  desk.groups.forEach((_, g) =>
    desk.parts[desk.faders.length + g].open.addEventListener("click", () => {
      if (!tree.open.delete(g)) tree.open.add(g);
      show();
    }),
  );
  arrange(host, row, desk, tree);
}
