// The log of the run, and the state of the loop at any position in it.
// A position is a turn and a number of lines: the lines before it have happened.
"use strict";
const log = JSON.parse(document.getElementById("run").textContent);
const word = (position) => log.words[position];

// The fields of the arrays in the log, by position.
const turnOf = ([number, at, lines, changes, state]) => ({ number, at, lines, changes, state });
const lineOf = ([step, kind, wire, lesson, text, flow, len]) => ({ step, kind: log.kinds[kind], wire, lesson, text, flow, len });
const loopOf = ([open, marked, queued, lent, lentMax, moved, movedMax, sleeps, stage]) =>
  ({ open, marked, queued, lent, lentMax, moved, movedMax, sleeps, stage: word(stage) });
const stateFrom = ([, stage, bits, kernel, input, output, moved, read, write, pause, timeout, deadline, reason]) => ({
  stage: word(stage), readable: !!(bits & 1), writable: !!(bits & 2), marked: !!(bits & 4),
  kernel, input, output, moved, read: word(read), write: word(write), pause: word(pause),
  timeout: word(timeout), deadline, reason: word(reason),
});
// The same array gives the same object, so that a row of an unchanged connection is not drawn again.
const known = new WeakMap();
const stateOf = (change) => {
  if (!known.has(change)) known.set(change, stateFrom(change));
  return known.get(change);
};
const turns = log.turns.map(turnOf);
const connections = log.connections.map(([number, name, endpoint, address]) => ({ number, name, endpoint, address }));
const endpoints = log.endpoints.map(([name, service, high, low]) => ({ name, service, high, low }));

const applyChanges = (states, turn) => {
  for (const change of turn.changes) {
    if (change.length === 1) states.delete(change[0]);
    else states.set(change[0], change);
  }
};

// All states after every so many turns, so that a jump replays only the turns since then.
const keyframeTurns = 64;
const keyframes = [];
{
  const states = new Map();
  turns.forEach((turn, index) => {
    if (index % keyframeTurns === 0) keyframes.push(new Map(states));
    applyChanges(states, turn);
  });
}

// The raw states before a turn.
let cached = { index: 0, states: new Map() };
const statesBefore = (index) => {
  if (index !== cached.index) {
    const isNext = index === cached.index + 1;
    const first = isNext ? cached.index : Math.min(Math.floor(index / keyframeTurns), keyframes.length - 1) * keyframeTurns;
    const states = isNext ? cached.states : new Map(keyframes[first / keyframeTurns]);
    for (let at = first; at < index; at += 1) applyChanges(states, turns[at]);
    cached = { index, states };
  }
  return cached.states;
};

// A connection that arrives within a turn, before anything has happened to it.
const arrived = (change) => {
  const after = stateOf(change);
  const kernel = after.kernel && [0, after.kernel[1], 0, after.kernel[3]];
  const nothing = { readable: false, writable: false, marked: false, input: 0, output: 0, pause: "", timeout: "", reason: "" };
  return { ...after, ...nothing, kernel, stage: "waiting" };
};

// The states at a position. Within a turn, the kernel buffers follow the lines, and the rest is as before the turn.
const statesAt = (index, done) => {
  const turn = turns[index];
  const isComplete = done >= turn.lines.length;
  const raw = new Map(statesBefore(index));
  if (isComplete) applyChanges(raw, turn);
  const states = new Map([...raw].sort(([one], [other]) => one - other).map(([wire, state]) => [wire, stateOf(state)]));
  if (!isComplete) {
    const arriving = new Map(turn.changes.filter((change) => change.length > 1).map((change) => [change[0], change]));
    for (const line of turn.lines.slice(0, done).map(lineOf)) {
      if (!states.has(line.wire) && arriving.has(line.wire)) states.set(line.wire, arrived(arriving.get(line.wire)));
      const state = line.flow === undefined ? undefined : states.get(line.wire);
      if (!state?.kernel) continue;
      const kernel = [...state.kernel];
      kernel[line.flow < 2 ? 0 : 2] += line.flow % 2 ? -line.len : line.len;
      states.set(line.wire, { ...state, kernel: kernel.map((bytes) => Math.max(bytes, 0)) });
    }
  }
  return states;
};

// The turns with a line of a kind.
const turnsWith = (kind) => {
  const number = log.kinds.indexOf(kind);
  return turns.flatMap((turn, index) => (turn.lines.some((line) => line[1] === number) ? [index] : []));
};
const faults = turnsWith("fault");
const decisions = turnsWith("decision");

// The connection with the most lines.
const busiest = () => {
  const counts = new Map();
  for (const turn of turns) for (const [, , wire] of turn.lines) if (wire !== null) counts.set(wire, (counts.get(wire) ?? 0) + 1);
  return [...counts].reduce((best, next) => (next[1] > best[1] ? next : best), [null, 0])[0];
};
