// The position, and the buttons and keys that change it.
"use strict";
const view = { index: 0, done: 0, followed: null, timer: null };

const shows = (line) => {
  if (!byId("only").checked || view.followed === null) return true;
  return line.wire === view.followed || line.kind === "note";
};

const draw = () => {
  const { index, done, followed } = view;
  const turn = turns[index];
  const states = statesAt(index, done);
  const touched = new Set(turn.lines.map((line) => line[2]));
  drawPlayhead(index);
  drawSteps(turn, done);
  drawLoop(turn, states, turn.at);
  byId("followed").replaceChildren(...(followed === null ? [] : [card(followed, states.get(followed), turn.at, done < turn.lines.length)]));
  drawList(states, followed, touched);
  drawStory(index, done, shows);
  byId("scrub").value = index;
  byId("scrub").setAttribute("aria-valuetext", titleOf(index));
  byId("position").textContent = done < turn.lines.length ? `${titleOf(index)}, line ${done} of ${turn.lines.length}` : titleOf(index);
  byId("play").textContent = view.timer === null ? "▶" : "❚❚";
};

// Goes to a turn, after all its lines unless `done` says how many.
const goTo = (index, done) => {
  view.index = Math.min(Math.max(index, 0), turns.length - 1);
  view.done = done ?? turns[view.index].lines.length;
  draw();
};
const follow = (wire) => {
  view.followed = wire;
  draw();
};

const nextLine = () => {
  if (view.done < turns[view.index].lines.length) return goTo(view.index, view.done + 1);
  if (view.index < turns.length - 1) goTo(view.index + 1, Math.min(1, turns[view.index + 1].lines.length));
};
const lastLine = () => (view.done > 1 ? goTo(view.index, view.done - 1) : goTo(view.index - 1));
const toNext = (among) => goTo(among.find((index) => index > view.index) ?? view.index);
const toLast = (among) => goTo(among.findLast((index) => index < view.index) ?? view.index);

const stop = () => {
  clearTimeout(view.timer);
  view.timer = null;
};
const play = () => {
  const speed = byId("speed").value;
  const isAtEnd = view.index === turns.length - 1 && view.done >= turns[view.index].lines.length;
  if (isAtEnd) {
    stop();
    return draw();
  }
  view.timer = setTimeout(play, speed === "line" ? 700 : 1000 / Number(speed));
  if (speed === "line") nextLine();
  else goTo(view.index + 1);
};
const playOrPause = () => {
  if (view.timer !== null) {
    stop();
    return draw();
  }
  if (view.index === turns.length - 1) goTo(0);
  play();
};

// Follows the connection that is `step` places further among those that are open.
const followOther = (step) => {
  const wires = [...statesAt(view.index, view.done).keys()];
  if (wires.length === 0) return;
  const place = wires.indexOf(view.followed);
  follow(wires[place < 0 ? 0 : (place + step + wires.length) % wires.length]);
};

const actions = {
  first: () => goTo(0),
  "fault-back": () => toLast(faults),
  back: () => goTo(view.index - 1),
  play: playOrPause,
  next: () => goTo(view.index + 1),
  line: nextLine,
  fault: () => toNext(faults),
};
for (const [id, action] of Object.entries(actions)) {
  byId(id).addEventListener("click", () => {
    if (id !== "play") stop();
    action();
  });
}
const keys = {
  Home: actions.first, End: () => goTo(turns.length - 1), ArrowLeft: actions.back, ArrowRight: actions.next,
  ArrowDown: nextLine, ArrowUp: lastLine, " ": playOrPause,
  f: actions.fault, F: actions["fault-back"], d: () => toNext(decisions), D: () => toLast(decisions),
  j: () => followOther(1), k: () => followOther(-1), Escape: () => follow(null),
  o: () => { byId("only").checked = !byId("only").checked; draw(); },
};
document.addEventListener("keydown", (event) => {
  const action = keys[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  // Space on a button or a box presses it.
  if (event.key === " " && event.target.matches?.("button, [type=checkbox]")) return;
  event.preventDefault();
  if (event.key !== " ") stop();
  action();
});
byId("scrub").addEventListener("input", (event) => {
  stop();
  goTo(Number(event.target.value));
});
byId("only").addEventListener("change", draw);
window.addEventListener("resize", drawTimeline);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTimeline);
document.addEventListener("click", (event) => {
  const { wire, turn } = event.target.closest("[data-wire],[data-turn]")?.dataset ?? {};
  if (wire !== undefined) follow(Number(wire) === view.followed ? null : Number(wire));
  if (turn !== undefined) {
    stop();
    goTo(Number(turn));
  }
});

// `#turn=12&peer=3&line=2` opens the page there.
{
  const wanted = new URLSearchParams(location.hash.slice(1));
  byId("scrub").max = turns.length - 1;
  const index = turns.findIndex((turn) => turn.number >= Number(wanted.get("turn") ?? 0));
  const peer = connections.findIndex(({ number }) => number === Number(wanted.get("peer")));
  view.followed = wanted.has("peer") && peer >= 0 ? peer : busiest();
  drawTimeline();
  goTo(index < 0 ? turns.length - 1 : index, wanted.has("line") ? Number(wanted.get("line")) : undefined);
  // A browser test checks this attribute: the script ran to its end.
  document.documentElement.dataset.turns = turns.length;
}
