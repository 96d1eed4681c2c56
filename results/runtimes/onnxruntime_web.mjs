// A network in ONNX Runtime for the web, for a program that sends it inputs and takes outputs through pipes.
//
// node onnxruntime_web.mjs PACKAGE MODEL NAMES: PACKAGE is the folder of onnxruntime-web, NAMES a JSON text of the
// names of inputs and outputs. Once the model is loaded, a line of JSON has the outputs' shapes by name. Each call is
// the float32 values of all inputs in order, the answer those of all outputs.
import { readFile } from "node:fs/promises";
import { writeSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [, , folder, model, names] = process.argv;
const ort = await import(pathToFileURL(`${folder}/dist/ort.node.min.mjs`));
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";
const { inputs, outputs } = JSON.parse(names);
const session = await ort.InferenceSession.create(await readFile(model), { executionProviders: ["wasm"] });
const shapes = Object.fromEntries(
  [...session.inputMetadata, ...session.outputMetadata].map(({ name, shape }) => [name, shape]));
const lengths = inputs.map((name) => shapes[name].reduce((product, length) => product * length, 1));
const wanted = 4 * lengths.reduce((sum, length) => sum + length, 0);

/** Write all of it: a pipe takes as much as it has room for. */
function write(values) {
  for (let bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength); bytes.length;)
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
}

async function answer(call) {
  const feed = {};
  let at = 0;
  inputs.forEach((name, index) => {
    feed[name] = new ort.Tensor("float32", new Float32Array(call.buffer, at, lengths[index]), shapes[name]);
    at += 4 * lengths[index];
  });
  const found = await session.run(feed, outputs);
  for (const name of outputs) write(found[name].data);
}

write(new TextEncoder().encode(`${JSON.stringify(shapes)}\n`));
let call = new Uint8Array(wanted), have = 0;
for await (let chunk of process.stdin)
  while (chunk.length) {
    const part = chunk.subarray(0, wanted - have);
    call.set(part, have);
    have += part.length;
    chunk = chunk.subarray(part.length);
    if (have === wanted) {
      await answer(call);
      call = new Uint8Array(wanted);
      have = 0;
    }
  }
