// From a picture to a network's input, pixel for pixel as the network was trained.

const ONE = 2 ** 22;  // shares are fixed-point numbers, as those of the training were

/**
 * Bring a picture to size x size pixels: its short side scaled to the size, and the middle cut out.
 * @param {Uint8ClampedArray} rgba pixels of the picture, four numbers each.
 * @param {number} width of the picture in pixels.
 * @param {number} height of the picture in pixels.
 * @param {number} size of the network's input in pixels.
 * @returns {Float32Array} (3, size, size), RGB in [0, 1].
 */
export function fit(rgba, width, height, size) {
  const scale = size / Math.min(width, height);
  const across = weights(width, Math.max(size, rounded(width * scale)), size);
  const down = weights(height, Math.max(size, rounded(height * scale)), size);
  // First row by row, then column by column, each rounded to whole numbers as the pictures of the training were.
  const narrow = new Uint8Array(height * size * 3);
  for (let y = 0, to = 0; y < height; y++)
    for (const { first, shares } of across)
      for (let colour = 0; colour < 3; colour++) {
        let sum = 0;
        for (let tap = 0, at = 4 * (y * width + first) + colour; tap < shares.length; tap++, at += 4)
          sum += shares[tap] * rgba[at];
        narrow[to++] = sum / ONE + 0.5;
      }
  const pixels = new Float32Array(3 * size * size);
  down.forEach(({ first, shares }, y) => {
    for (let x = 0; x < size; x++)
      for (let colour = 0; colour < 3; colour++) {
        let sum = 0;
        for (let tap = 0, at = 3 * (first * size + x) + colour; tap < shares.length; tap++, at += 3 * size)
          sum += shares[tap] * narrow[at];
        pixels[(colour * size + y) * size + x] = Math.floor(sum / ONE + 0.5) / 255;
      }
  });
  return pixels;
}

/** A number rounded to an integer, halves to the even one. */
function rounded(value) {
  const low = Math.floor(value), rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}

/**
 * Which pixels of a line each of the middle pixels of the scaled line is made of: of all that it covers alike
 * where the line gets shorter, of its two neighbours where it gets longer.
 */
function weights(length, scaled, size) {
  const step = length / scaled, shrinks = scaled < length, reach = shrinks ? step / 2 : 1;
  const skipped = Math.floor((scaled - size) / 2);
  return Array.from({ length: size }, (_, index) => {
    const middle = (skipped + index + 0.5) * step;
    const first = Math.max(0, Math.trunc(middle - reach + 0.5));
    const last = Math.min(length, Math.trunc(middle + reach + 0.5));
    const shares = [];
    for (let at = first; at < last; at++) {
      const distance = (at - middle + 0.5) / (shrinks ? step : 1);
      shares.push(shrinks ? Number(distance > -0.5 && distance <= 0.5) : Math.max(0, 1 - Math.abs(distance)));
    }
    const sum = shares.reduce((total, share) => total + share, 0);
    return { first, shares: shares.map((share) => Math.floor(ONE * share / sum + 0.5)) };
  });
}
