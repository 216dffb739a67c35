// Keeps the text of a box, and the link of the page, in the tab's sessionStorage: see drafts.py.

const PLACE = "mixdesk-place";

function remember() {
  sessionStorage.setItem(PLACE, location.pathname + location.search);
}

function goBack() {
  const place = sessionStorage.getItem(PLACE);
  sessionStorage.removeItem(PLACE);
  if (place && place !== location.pathname + location.search) location.replace(location.origin + place);
}

function boxOf(key) {
  const host = document.querySelector(`.st-key-${key.replace(/[^a-zA-Z0-9_-]/g, "-")}`);
  return host?.querySelector("textarea, input");
}

// As if somebody had typed it: React looks at the element's own setter, Streamlit sends it when the box is left.
function type(box, text) {
  const kind = box instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
  box.focus();
  Object.getOwnPropertyDescriptor(kind.prototype, "value").set.call(box, text);
  box.dispatchEvent(new Event("input", { bubbles: true }));
  box.blur();
}

function keep({ box: key, name, who, gone }) {
  const slot = `mixdesk-draft:${who}:${name}`;
  if (gone && sessionStorage.getItem(`${slot}:gone`) !== gone) {
    sessionStorage.setItem(`${slot}:gone`, gone);
    sessionStorage.removeItem(slot);
  }
  const onInput = (event) => {
    if (event.isTrusted && event.target === boxOf(key)) sessionStorage.setItem(slot, event.target.value);
  };
  document.addEventListener("input", onInput, true);
  let tries = 0;
  const look = setInterval(() => {
    const box = boxOf(key), text = sessionStorage.getItem(slot);
    if (box && text && !box.value && document.activeElement !== box) type(box, text);
    if (box || ++tries > 50) clearInterval(look);
  }, 100);
  return () => {
    clearInterval(look);
    document.removeEventListener("input", onInput, true);
  };
}

export default function ({ data, parentElement }) {
  if (data.do === "remember") remember();
  if (data.do === "go back") goBack();
  parentElement.undo?.(); // called again with other data
  parentElement.undo = data.do === "keep" ? keep(data) : undefined;
  return () => parentElement.undo?.();
}
