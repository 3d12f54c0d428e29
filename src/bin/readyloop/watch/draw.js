// Draws one position of the run. All text is set as text, so nothing in the log is taken as HTML.
"use strict";
const byId = (id) => document.getElementById(id);
const make = (tag, className, ...children) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
};
const grouped = new Intl.NumberFormat("en");
const bytes = (count) => (count === 1 ? "1 byte" : `${grouped.format(count)} bytes`);
const seconds = (nanos) => `${new Intl.NumberFormat("en", { maximumFractionDigits: 9 }).format(nanos / 1e9)} s`;
const short = (nanos) => `${new Intl.NumberFormat("en", { maximumSignificantDigits: 3 }).format(nanos / 1e9)} s`;

// A bar for an amount, with a mark at each of `marks`.
const bar = (kind, amount, most, marks = []) => {
  const share = (part) => `${Math.min(100, (100 * part) / Math.max(most, 1))}%`;
  const fill = make("i");
  fill.style.width = share(amount);
  const drawn = marks.map((mark) => {
    const line = make("u");
    line.style.left = share(mark);
    return line;
  });
  const element = make("div", `bar ${kind}${amount >= most && most > 0 ? " full" : ""}`, fill, ...drawn);
  element.title = `${bytes(amount)} of ${grouped.format(most)}`;
  return element;
};

const gauge = (label, kind, amount, most, marks) => {
  if (amount === null) return make("div", "gauge", make("small", "", make("span", "", label), "not known"));
  const text = make("small", "", make("span", "", label), make("span", "", grouped.format(amount)));
  return make("div", "gauge", text, bar(kind, amount, most, marks));
};

// The watermarks of the queue of a connection, and the length that its bar stands for.
const queueOf = (wire, state) => {
  const { high, low } = endpoints[connections[wire].endpoint] ?? { high: 0, low: 0 };
  return { high, low, most: Math.max(high * 1.25, state.output, 1) };
};

const bits = (state) => {
  const bit = (sign, isOn, name) => {
    const element = make("span", isOn ? "on" : "", sign);
    element.title = `${isOn ? "" : "not "}${name}`;
    return element;
  };
  return make("span", "bits", bit("R", state.readable, "readable"), bit("W", state.writable, "writable"), bit("M", state.marked, "marked"));
};

const stageOf = (state) => (state.stage === "waiting" ? "in the backlog" : state.stage);

// A connection as one row: a button that follows it.
const row = (wire, state, isFollowed, isTouched) => {
  const { kernel } = state;
  const queue = queueOf(wire, state);
  const peerName = make("span", "peer-name", connections[wire].name);
  const halves = state.stage === "open" ? `→ ${state.read}, ← ${state.write}` : stageOf(state);
  const deadline = state.deadline === null || !state.timeout ? "" : `${state.timeout} at ${short(state.deadline)}`;
  const cells = [
    peerName,
    bits(state),
    kernel ? bar("in", kernel[0], kernel[1]) : make("span", "soft", "?"),
    bar("queue", state.output, queue.most, [queue.high, queue.low]),
    kernel ? bar("out", kernel[2], kernel[3]) : make("span", "soft", "?"),
    make("span", "soft", halves),
    make("span", "soft", state.pause ? `paused: ${state.pause}` : deadline),
  ];
  const element = make("button", `row${isFollowed ? " followed" : ""}${isTouched ? " touched" : ""}`, ...cells);
  element.type = "button";
  element.dataset.wire = wire;
  element.setAttribute("aria-pressed", isFollowed);
  return element;
};

// The rows that are drawn, by connection. A row is drawn again only when it changes.
let rows = new Map();
const drawList = (states, followed, touched) => {
  const drawn = new Map();
  for (const [wire, state] of states) {
    const isFollowed = wire === followed, isTouched = touched.has(wire);
    const old = rows.get(wire);
    const isSame = old?.state === state && old.isFollowed === isFollowed && old.isTouched === isTouched;
    drawn.set(wire, isSame ? old : { state, isFollowed, isTouched, element: row(wire, state, isFollowed, isTouched) });
  }
  const wires = [...drawn.keys()], before = [...rows.keys()];
  const isSameList = wires.length > 0 && wires.length === before.length && wires.every((wire, place) => wire === before[place]);
  const old = rows;
  rows = drawn;
  if (isSameList) {
    for (const [wire, { element }] of drawn) {
      if (old.get(wire).element !== element) old.get(wire).element.replaceWith(element);
    }
    return;
  }
  const elements = [...drawn.values()].map(({ element }) => element);
  byId("list").replaceChildren(...(elements.length > 0 ? [rowHead(), ...elements] : [make("p", "empty", "No connection is open.")]));
};

const rowHead = () =>
  make("div", "row head", ...["connection", "bits", "kernel in", "queue", "kernel out", "halves", "held by, or timeout"].map((text) => make("span", "", text)));

const badge = (text, className) => make("span", `badge ${className}`, text);

// The followed connection, large: the way of its bytes from the peer through the loop and back.
const card = (wire, state, now, isWithinTurn) => {
  const { name, address, endpoint } = connections[wire];
  const about = [address, endpoints[endpoint]?.name].filter(Boolean).join(" at ");
  const title = make("h3", "", name, make("small", "", about));
  if (!state) return make("div", "card", title, make("p", "empty", "This connection is not open at this time."));
  const { kernel } = state;
  const queue = queueOf(wire, state);
  const arrow = () => make("span", "", "▶");
  const half = (text, isOpen) => make("b", "", isOpen ? text : `${text} ⊣`);
  const lane = make("div", "lane",
    half(`peer ▸ ${state.read}`, state.read === "open"),
    gauge("kernel, from the peer", "in", kernel && kernel[0], kernel && kernel[1]), arrow(),
    gauge("input not served", "in", state.input, Math.max(state.input * 1.25, 4096)), arrow(), make("b", "end", "service"));
  const back = make("div", "lane",
    half(`peer ◂ ${state.write}`, state.write === "open"),
    gauge("kernel, to the peer", "out", kernel && kernel[2], kernel && kernel[3]), make("span", "", "◀"),
    gauge(`queue, marks ${grouped.format(queue.low)} and ${grouped.format(queue.high)}`, "queue", state.output, queue.most, [queue.high, queue.low]),
    make("span", "", "◀"), make("b", "end", "service"));
  const badges = make("div", "badges",
    badge(state.readable ? "readable" : "not readable", state.readable ? "on" : ""),
    badge(state.writable ? "writable" : "not writable", state.writable ? "on" : ""),
    badge(state.marked ? "marked" : "not marked", state.marked ? "on" : ""));
  if (state.stage !== "open") badges.append(badge(stageOf(state), "warn"));
  if (state.pause) badges.append(badge(`reading paused by ${state.pause}`, "warn"));
  if (state.reason) badges.append(badge(`ends: ${state.reason}`, "warn"));
  if (state.timeout && state.deadline !== null) {
    badges.append(badge(`${state.timeout} timeout at ${seconds(state.deadline)}, in ${short(Math.max(state.deadline - now, 0))}`, ""));
  }
  if (isWithinTurn) badges.append(badge("queue and bits: before this turn", ""));
  return make("div", "card", title, lane, back, badges);
};

const tile = (name, value, ...more) => make("div", "tile", make("small", "", name), make("strong", "", value), ...more);

const drawLoop = (turn, states, now) => {
  const loop = loopOf(turn.state);
  const ready = make("div", "tile ready", make("small", "", "ready list: marked, to be served before the next sleep"));
  const marked = [...states].filter(([, state]) => state.marked);
  for (const [wire] of marked.slice(0, 40)) {
    const button = make("button", "", connections[wire].name);
    button.dataset.wire = wire;
    ready.append(button);
  }
  if (marked.length > 40) ready.append(` and ${marked.length - 40} more`);
  if (marked.length === 0) ready.append(make("strong", "", "none"));
  const sleeps = loop.sleeps === null ? "until an event" : loop.sleeps <= now ? "not at all: there is work" : `until ${seconds(loop.sleeps)}`;
  byId("tiles").replaceChildren(
    ready,
    tile("moved in turn", bytes(loop.moved), bar("in", loop.moved, loop.movedMax)),
    tile("queue memory", bytes(loop.lent), bar("queue", loop.lent, loop.lentMax)),
    tile("then it sleeps", sleeps),
    tile("open", grouped.format(loop.open)),
    tile("loop", loop.stage),
  );
};

const drawSteps = (turn, done) => {
  const isComplete = done >= turn.lines.length;
  const current = isComplete || done === 0 ? -1 : lineOf(turn.lines[done - 1]).step;
  [...byId("steps").children].forEach((element, step) => {
    const count = turn.lines.filter((line) => line[0] === step).length;
    element.className = `${count > 0 ? "used" : ""} ${step === current ? "now" : ""}`;
    element.querySelector("b").textContent = count || "";
  });
};

const titleOf = (index) => {
  const { number, at } = turns[index];
  if (number === 0) return "before the first turn";
  return `${turns[index - 1]?.number === number ? "after turn" : "turn"} ${grouped.format(number)}, at ${seconds(at)}`;
};

// The story around a turn: a few turns before and after it.
const around = { before: 6, after: 10 };
const drawStory = (index, done, shows) => {
  const first = Math.max(0, index - around.before);
  const drawn = turns.slice(first, index + around.after + 1).map((turn, offset) => {
    const at = first + offset;
    const button = make("button", "", titleOf(at));
    button.dataset.turn = at;
    const lines = turn.lines.map(lineOf).map((line, number) => [line, number]).filter(([line]) => shows(line));
    const element = make("div", `turn${at === index ? " now" : ""}`, make("h4", "", button));
    for (const [line, number] of lines) {
      const isLater = at === index && number >= done;
      const isHere = at === index && done < turn.lines.length && number === done - 1;
      const text = make("p", `${line.kind}${isLater ? " later" : ""}${isHere ? " here" : ""}`, line.text);
      if (line.lesson) {
        const lesson = make("small", "", ` (lesson ${line.lesson})`);
        lesson.title = `Lesson ${line.lesson} of the course: ${log.lessons[line.lesson - 1]}`;
        text.append(lesson);
      }
      element.append(text);
    }
    if (lines.length === 0) element.append(make("p", "empty", "no line"));
    return element;
  });
  const story = byId("story");
  story.replaceChildren(...drawn);
  const now = story.querySelector(".here") ?? story.querySelector(".turn.now");
  const { top, bottom } = now.getBoundingClientRect();
  const frame = story.getBoundingClientRect();
  const tooHigh = top < frame.top, tooLow = bottom > frame.bottom;
  if (tooHigh || tooLow) story.scrollTop += top - frame.top - Math.max(0, Math.min(60, frame.height - (bottom - top)));
};

// The timeline: bytes in queues as an area, faults above it and decisions below it. It is drawn once for each size.
const drawTimeline = () => {
  const canvas = byId("timeline");
  const { width, height } = canvas.getBoundingClientRect();
  const scale = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [width * scale, height * scale];
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const x = (at) => 4 + (width - 8) * shareOf(at);
  const floor = height - 8;
  const queued = turns.map((turn) => loopOf(turn.state).queued);
  const most = queued.reduce((one, other) => Math.max(one, other), 1);
  context.fillStyle = color("--fill-queue");
  context.globalAlpha = 0.55;
  context.beginPath();
  context.moveTo(x(0), floor);
  queued.forEach((length, at) => context.lineTo(x(at), floor - ((floor - 12) * length) / most));
  context.lineTo(x(turns.length - 1), floor);
  context.fill();
  context.globalAlpha = 1;
  context.fillStyle = color("--line");
  context.fillRect(x(0), floor, width - 8, 1);
  context.fillStyle = color("--decision");
  for (const at of decisions) context.fillRect(x(at) - 0.5, floor + 2, 1.5, 5);
  context.fillStyle = color("--fault");
  for (const at of faults) {
    context.beginPath();
    context.moveTo(x(at) - 3, 1);
    context.lineTo(x(at) + 3, 1);
    context.lineTo(x(at), 8);
    context.fill();
  }
  context.fillStyle = color("--text");
  context.font = "11px system-ui, sans-serif";
  context.fillText(`queued, at most ${bytes(most === 1 ? 0 : most)}`, 6, 20);
};

// How far a turn is in the run, from 0 to 1.
const shareOf = (index) => (turns.length < 2 ? 0.5 : index / (turns.length - 1));
const drawPlayhead = (index) => {
  byId("playhead").style.left = `calc(4px + (100% - 8px) * ${shareOf(index)})`;
};
