// The network beside the page: what it computes never holds up what is seen.
import * as ort from "./ort.js";
import { Network, softmax } from "./network.js";
import { fit } from "./pictures.js";

let network, canvas, context;

/** Fetch a file of this page. */
async function fetched(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name} could not be loaded (${answer.status})`);
  return answer;
}

async function open() {
  const [sidecar, model, wasm] = await Promise.all([
    fetched("step.onnx.json").then((answer) => answer.json()),
    fetched("step.onnx").then((answer) => answer.arrayBuffer()),
    fetched("ort-wasm-simd-threaded.wasm").then((answer) => answer.arrayBuffer()),
  ]);
  ort.env.wasm.numThreads = 1;  // more of them need headers that not every server sends
  ort.env.wasm.wasmBinary = wasm;
  ort.env.logLevel = "error";
  network = await Network.open(ort, new Uint8Array(model), sidecar);
  await network.run(network.filled(sidecar.inputs[0].shape, 0).data);  // the first one is slow
  network.reset();
  return { kind: "ready", sidecar };
}

/** The pixels of a picture as the network takes them. */
function pixels(picture) {
  const { width, height } = picture;
  if (canvas?.width !== width || canvas?.height !== height) {
    canvas = new OffscreenCanvas(width, height);
    context = canvas.getContext("2d", { willReadFrequently: true });
  }
  context.drawImage(picture, 0, 0);
  picture.close();
  return fit(context.getImageData(0, 0, width, height).data, width, height, network.sidecar.preprocessing.size);
}

async function see({ picture, time, keep }) {
  const started = performance.now();
  const seen = pixels(picture), fitted = performance.now();
  const logits = await network.run(seen);
  const answer = { kind: "seen", time, frames: network.frames, probabilities: softmax(logits),
                   milliseconds: performance.now() - fitted, fitting: fitted - started };
  return keep ? { ...answer, logits, pixels: seen } : answer;
}

const doings = { open, see, reset: () => { network.reset(); return { kind: "reset" }; } };
let before = Promise.resolve();

// One after another: a frame needs the state that the one before left.
onmessage = ({ data }) => {
  before = before.then(async () => {
    try {
      postMessage(await doings[data.kind](data));
    } catch (error) {
      postMessage({ kind: "failed", message: String(error?.message ?? error) });
    }
  });
};
