// The page: takes pictures from a camera or a file as often as the network wants them, and shows what it says.

const SHOWN = 5, KEPT = 300;
const COLOURS = ["#0b7bc1", "#d1495b", "#2e933c", "#a267ac", "#c98a00", "#3d8b8b", "#b5651d", "#6c757d"];
const element = (name) => document.getElementById(name);
const video = element("video"), worker = new Worker("worker.js", { type: "module" });
let sidecar, seen = [], waiting = [], busy = false, skipped = 0, due = 0, stream = null, address = null;
let said = 0, drawn = 0;
const colours = new Map();

/** Send something to the network and return its answer. */
function ask(message, transfer = []) {
  return new Promise((resolve, reject) => {
    waiting.push({ resolve, reject });
    worker.postMessage(message, transfer);
  });
}
worker.onmessage = ({ data }) => {
  const { resolve, reject } = waiting.shift();
  if (data.kind === "failed") reject(new Error(data.message));
  else resolve(data);
};
worker.onerror = (event) => {
  event.preventDefault();
  say(`The network could not be started: ${event.message ?? "this browser has no module workers"}`, true);
};

function say(text, failed = false) {
  element("status").textContent = text;
  element("status").classList.toggle("failed", failed);
}

/** Take the picture that the video shows, if the network wants one by now. */
async function look(time) {
  if (time < due) return;
  const step = 1 / sidecar.preprocessing.fps;
  due = Math.max(due + step, time + step / 2);
  if (busy) {
    skipped += 1;
    return;
  }
  busy = true;
  try {
    const picture = await createImageBitmap(video);
    show(await ask({ kind: "see", picture, time }, [picture]));
  } catch (error) {
    end();
    say(`This picture cannot be classified: ${error.message}`, true);
  } finally {
    busy = false;
  }
}

function follow() {
  const again = "requestVideoFrameCallback" in video
    ? (then) => video.requestVideoFrameCallback((_, { mediaTime }) => then(mediaTime))
    : (then) => requestAnimationFrame(() => then(video.currentTime));
  const next = (time) => {
    if (!video.srcObject && !address) return;
    if (!video.paused) look(time);
    again(next);
  };
  again(next);
}

function show(answer) {
  seen.push(answer);
  if (seen.length > KEPT) seen.shift();
  if (performance.now() - drawn > 60) draw();
}

function draw() {
  drawn = performance.now();
  const answer = seen.at(-1);
  if (!answer) return;
  const times = seen.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
  element("milliseconds").textContent = `${times[times.length >> 1].toFixed(1)} ms`;
  element("frames").textContent = answer.frames;
  element("skipped").textContent = skipped;
  const order = best(answer.probabilities);
  for (const index of order)
    if (!colours.has(index)) colours.set(index, COLOURS[colours.size % COLOURS.length]);
  element("labels").replaceChildren(...order.map((index) => row(index, answer.probabilities[index])));
  chart(order);
  if (drawn - said > 1000) {
    said = drawn;
    say(`${sidecar.labels[order[0]]}, ${percent(answer.probabilities[order[0]])}`);
  }
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** The numbers of the most probable labels. */
function best(probabilities) {
  return probabilities.map((share, index) => [share, index])
    .sort((a, b) => b[0] - a[0] || a[1] - b[1]).slice(0, SHOWN).map(([, index]) => index);
}

function row(index, share) {
  const [item, patch, name, figure, bar] = ["li", "i", "span", "b", "meter"].map((tag) => document.createElement(tag));
  patch.style.background = colours.get(index);
  name.textContent = sidecar.labels[index];
  figure.textContent = percent(share);
  bar.value = share;
  bar.setAttribute("aria-label", sidecar.labels[index]);
  item.append(patch, name, figure, bar);
  return item;
}

function chart(order) {
  const canvas = element("chart"), context = canvas.getContext("2d");
  const { width, height } = canvas, left = 8, right = width - 8, top = 8, bottom = height - 8;
  context.clearRect(0, 0, width, height);
  context.strokeStyle = "#8888";
  context.lineWidth = 1;
  for (const share of [0, 0.5, 1]) {
    const y = bottom - share * (bottom - top);
    context.beginPath();
    context.moveTo(left, y);
    context.lineTo(right, y);
    context.stroke();
  }
  context.lineWidth = 2.5;
  for (const index of [...order].reverse()) {
    context.strokeStyle = colours.get(index);
    context.beginPath();
    seen.forEach(({ probabilities }, number) => {
      const x = left + (right - left) * number / Math.max(1, seen.length - 1);
      context.lineTo(x, bottom - probabilities[index] * (bottom - top));
    });
    context.stroke();
  }
}

/** Let go of the source; what was seen stays on the page. */
function end() {
  stream?.getTracks().forEach((track) => track.stop());
  if (address) URL.revokeObjectURL(address);
  stream = address = null;
  video.pause();
  video.srcObject = null;
  video.removeAttribute("src");
  element("stop").disabled = true;
}

/** Forget what was seen. */
async function reset() {
  await ask({ kind: "reset" });
  seen = [];
  skipped = due = said = 0;
  colours.clear();
  element("labels").replaceChildren();
  element("chart").getContext("2d").clearRect(0, 0, 640, 220);
  for (const name of ["milliseconds", "frames", "skipped"]) element(name).textContent = "–";
}

async function begin(open) {
  end();
  await reset();
  try {
    await open();
    await video.play();
  } catch (error) {
    end();
    say(`The source cannot be opened: ${error.message}`, true);
    return;
  }
  element("again").disabled = element("stop").disabled = false;
  say("Watching …");
  follow();
}

element("camera").onclick = () => begin(async () => {
  if (!navigator.mediaDevices)
    throw new Error("browsers give cameras only to pages from https or localhost");
  stream = await navigator.mediaDevices.getUserMedia({ video: true });
  video.srcObject = stream;
});
element("file").onchange = ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (file) begin(async () => {
    address = URL.createObjectURL(file);
    video.src = address;
  });
};
element("again").onclick = async () => {
  await reset();
  say("Watching …");
  if (address) {
    video.currentTime = 0;
    await video.play();
  }
};
element("stop").onclick = () => { draw(); end(); say("Stopped."); };
video.onended = () => { draw(); if (seen.length) say(`The end: ${sidecar.labels[best(seen.at(-1).probabilities)[0]]}.`); };

try {
  ({ sidecar } = await ask({ kind: "open" }));
  for (const name of ["camera", "file"]) element(name).disabled = false;
  say("Ready: choose the camera or a video file.");
} catch (error) {
  say(`The network could not be loaded: ${error.message}`, true);
}
// For scripts that check the page: classify pictures one by one, and get what the network saw and said.
window.movinas = { see: (picture) => ask({ kind: "see", picture, time: 0, keep: true }, [picture]), reset, ask };
