// The network of a page, one frame after another: what its sidecar says, in ONNX Runtime for the web.

/** A streaming network and the state of one stream. */
export class Network {
  /**
   * Load a network.
   * @param {object} ort module of onnxruntime-web.
   * @param {Uint8Array} model the ONNX file.
   * @param {object} sidecar what stands in the JSON file beside it.
   */
  static async open(ort, model, sidecar) {
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    return new Network(ort, session, sidecar);
  }

  constructor(ort, session, sidecar) {
    this.ort = ort;
    this.session = session;
    this.sidecar = sidecar;
    this.reset();
  }

  /** Forget the video so far; the next frame is the first of another one. */
  reset() {
    this.frames = 0;
    this.states = Object.fromEntries(
      this.sidecar.states.map(({ name, shape }) => [name, this.filled(shape, 0)]));
  }

  filled(shape, value) {
    const size = shape.reduce((product, length) => product * length, 1);
    return new this.ort.Tensor("float32", new Float32Array(size).fill(value), shape);
  }

  /**
   * Feed a frame.
   * @param {Float32Array} pixels of (1, 3, size, size), RGB in [0, 1].
   * @returns {Promise<Float32Array>} the logits over all frames so far.
   */
  async run(pixels) {
    const { counters, inputs, states } = this.sidecar;
    const [frame] = inputs, count = this.frames + 1;
    const feed = { ...this.states, [frame.name]: new this.ort.Tensor("float32", pixels, frame.shape) };
    for (const { name, shape, value } of counters)
      feed[name] = this.filled(shape, value === "1 / n" ? 1 / count : count - 1);
    const known = { ...feed, ...(await this.session.run(feed)) };
    this.states = Object.fromEntries(states.map(({ name, next }) => [name, known[next]]));
    this.frames = count;
    return known.logits.data;
  }
}

/** The probabilities of logits. */
export function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}
