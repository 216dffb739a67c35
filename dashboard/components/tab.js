// What a tab keeps over a reload: its name in the room, and whom it follows (sessionStorage). A session that is new to
// the tab is told what was kept; what it knows afterwards is kept in its turn.

const SLOT = "mixdesk-room";

export default function ({ data, setTriggerValue }) {
  const kept = window.mixdeskSession === data.session ? null : JSON.parse(sessionStorage.getItem(SLOT));
  window.mixdeskSession = data.session;
  if (kept && (kept.name !== data.name || kept.following !== data.following)) setTriggerValue("kept", kept);
  else sessionStorage.setItem(SLOT, JSON.stringify({ name: data.name, following: data.following }));
}
