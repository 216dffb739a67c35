// A passage of text: every token on a ground that is darker the more bits it cost. Set as text, never as markup.

const MOST = 8; // bits from which on the ground is at its darkest

export default function ({ data, parentElement }) {
  const host = parentElement.querySelector(".mixdesk-passage");
  const line = document.createElement("p");
  data.words.forEach((word, place) => {
    const token = document.createElement("span"), bits = place ? data.bits[place - 1] : null;
    token.textContent = word;
    if (bits !== null) {
      token.style.setProperty("--hard", `${Math.round(100 * Math.min(1, bits / MOST))}%`);
      token.title = `${bits.toFixed(2)} bits`;
    }
    line.append(token);
  });
  host.replaceChildren(line);
}
