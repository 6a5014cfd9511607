// Random numbers from a seed, those of NumPy's `np.random.default_rng(seed).random()`:
// so a page and Python write the same text. The generator is PCG64 (O'Neill 2014, "PCG:
// A family of simple fast space-efficient statistically good algorithms for random
// number generation"); her seed sequence spreads a seed over its 256 bits.

const xorshift = (word) => (word ^ (word >>> 16)) >>> 0;

// A function that hashes words of 32 bits, each with another constant.
function hasher(constant, factor) {
  return (word) => {
    word ^= constant;
    constant = Math.imul(constant, factor);
    return xorshift(Math.imul(word, constant));
  };
}

function seedWords(seed) { // a whole number from 0 -> eight words of 32 bits
  const given = [];
  for (let rest = BigInt(seed); rest > 0n; rest >>= 32n)
    given.push(Number(rest & 0xffffffffn));
  const hash = hasher(0x43b0d7e5, 0x931e8875);
  const mix = (x, y) => xorshift(Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y));
  const pool = [0, 1, 2, 3].map((i) => hash(given[i] ?? 0));
  for (let from = 0; from < 4; from++) // every word reaches every other
    for (let to = 0; to < 4; to++)
      if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  const spread = hasher(0x8b51f9dd, 0x58f38ded);
  return Array.from({ length: 8 }, (_, i) => spread(pool[i % 4]));
}

export class Random {
  constructor(seed = 0) {
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw new RangeError(`a seed is a whole number from 0, not ${seed}`);
    const words = seedWords(seed).map(BigInt);
    const number = (i) => // of 128 bits
      (words[i + 1] << 96n) | (words[i] << 64n) | (words[i + 3] << 32n) | words[i + 2];
    this.increment = BigInt.asUintN(128, (number(4) << 1n) | 1n);
    this.state = this.increment + number(0);
    this.advance();
  }

  advance() {
    const next = this.state * 0x2360ed051fc65da44385df649fccf645n + this.increment;
    this.state = BigInt.asUintN(128, next);
  }

  next() { // in [0, 1)
    this.advance();
    const halves = BigInt.asUintN(64, (this.state >> 64n) ^ this.state);
    const turn = this.state >> 122n;
    const bits = BigInt.asUintN(64, (halves >> turn) | (halves << (64n - turn)));
    return Number(bits >> 11n) / 2 ** 53;
  }
}
