// How faders move each other, over a simplex or a box: pure functions of {values, locked, ...}, drawn by desk.js.

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const same = (one, other) => one.length === other.length && one.every((v, j) => Math.abs(v - other[j]) < 5e-6);

// Give `wanted` to fader i of a simplex and what is left to the unlocked others, in proportion to what they have; with
// a giver, give or take the difference from that one alone.
export function moved(values, locked, i, wanted, giver = null) {
  if (giver !== null && giver !== i) {
    if (locked[giver]) return values;
    const both = values[i] + values[giver];
    const value = clamp(wanted, 0, both);
    return values.map((v, j) => (j === i ? value : j === giver ? both - value : v));
  }
  const fixed = values.reduce((sum, v, j) => sum + (locked[j] && j !== i ? v : 0), 0);
  const others = values.map((v, j) => (j === i || locked[j] ? 0 : v));
  const free = locked.filter((is, j) => !is && j !== i).length;
  if (!free) return values;
  const value = clamp(wanted, 0, 1 - fixed);
  const sum = others.reduce((a, b) => a + b, 0);
  return values.map((v, j) => {
    if (j === i) return value;
    if (locked[j]) return v;
    const part = sum > 1e-9 ? v / sum : 1 / free;
    return part * (1 - fixed - value);
  });
}

// What a group of faders has together.
export const totalOf = (values, members) => members.reduce((sum, j) => sum + values[j], 0);

// Give `wanted` to a group as a whole: its unlocked members are scaled, and so are the unlocked others, or the giver
// alone where it is none of them.
export function movedTogether(values, locked, members, wanted, giver = null) {
  const own = new Set(members), one = giver !== null && !own.has(giver);
  const gives = (j) => !own.has(j) && !locked[j] && (!one || j === giver);
  const open = values.map((_, j) => (own.has(j) ? !locked[j] : gives(j)));
  const count = (inside) => open.filter((is, j) => is && own.has(j) === inside).length;
  if (!count(true) || !count(false)) return values;
  const sum = (test) => values.reduce((total, v, j) => total + (test(j) ? v : 0), 0);
  const held = sum((j) => own.has(j) && !open[j]), fixed = sum((j) => !own.has(j) && !open[j]);
  const total = clamp(wanted, held, 1 - fixed);
  const now = [sum((j) => !own.has(j) && open[j]), sum((j) => own.has(j) && open[j])];
  const to = [1 - fixed - total, total - held];
  return values.map((v, j) => {
    if (!open[j]) return v;
    const side = Number(own.has(j));
    return now[side] > 1e-9 ? (v * to[side]) / now[side] : to[side] / count(own.has(j));
  });
}

// The position after fader i is set to `wanted`: in a box it moves alone, between its own ends.
export function after(desk, i, wanted) {
  if (i >= desk.values.length) {
    return movedTogether(desk.values, desk.locked, desk.groups[i - desk.values.length].members, wanted, desk.giver);
  }
  if (desk.locked[i]) return desk.values;
  if (!desk.free) return moved(desk.values, desk.locked, i, wanted, desk.giver);
  const { lower, upper } = desk.faders[i];
  return desk.values.map((v, j) => (j === i ? clamp(wanted, lower, upper) : v));
}

// Fader i alone: it takes all that is not locked; in a box the unlocked others go to 0, or as near as they may.
export function alone(desk, i) {
  if (!desk.free) return moved(desk.values, desk.locked, i, 1);
  return desk.values.map((v, j) => (j === i || desk.locked[j] ? v : clamp(0, desk.faders[j].lower, desk.faders[j].upper)));
}

// A position on the way from one to another; locked faders stay. On a simplex the unlocked ones fill what is left.
export function between(desk, from, to, part) {
  const way = from.map((v, j) => (desk.locked[j] ? desk.values[j] : v + part * (to[j] - v)));
  if (desk.free) return way;
  const sum = (held) => way.reduce((total, v, j) => total + (Boolean(desk.locked[j]) === held ? v : 0), 0);
  const open = sum(false), left = 1 - sum(true);
  const count = desk.locked.filter((is) => !is).length;
  return way.map((v, j) => (desk.locked[j] ? v : open > 1e-9 ? (v * left) / open : left / count));
}

// How far the desk stands on the way from one scene (0) to another (1); null where it is elsewhere.
function wayBetween(desk, from, to) {
  const [start, end] = [0, 1].map((part) => between(desk, from, to, part));
  const way = end.map((v, j) => v - start[j]), length = way.reduce((sum, v) => sum + v * v, 0);
  const part = length && clamp(way.reduce((sum, v, j) => sum + v * (desk.values[j] - start[j]), 0) / length, 0, 1);
  return same(between(desk, from, to, part), desk.values) ? part : null;
}

const TOPS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1];

// The end of a simplex' tracks: the least of a few round shares that leaves room above what must be seen.
export function topOf(needed, values) {
  const most = Math.max(needed, 1.02 * Math.max(0, ...values));
  return TOPS.find((top) => top >= most) ?? 1;
}
