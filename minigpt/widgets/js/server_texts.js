// What the explorers of a server's page begin with. Chapter: serving.

const TALE = "Once a girl called Mia had a red kite. One day she took it to the hill.";
const TALES = { next: "Once a girl called Mia had", tokens: TALE, piece: 0,
  looks: `${TALE} There she met a fox called Rex. Mia gave him the red kite. ` +
    "Where is the kite now?", head: 1 }; // which finds who has it
const ENGLISH = { next: "The scientist opened the door and saw",
  looks: "When Mary and John went to the shop, John gave a drink to",
  tokens: "The unbelievable tokenizer reads naïve café menus in 2026.", piece: 2,
  head: 0 };

// {next, looks, tokens}, which piece is open and which head looks: of the two, those
// that the tokenizer cuts into fewer tokens, without what it cannot read.
export function openings(tok) {
  const readable = (text) => (tok.known === undefined ? text :
    tok.split(text).filter((piece) => tok.known.has(piece)).join(""));
  const share = (text) => tok.encode(readable(text)).length / text.length;
  const tales = !tok.known && share(TALE) < 0.8 * share(ENGLISH.looks);
  const { next, looks, tokens, ...chosen } = tales ? TALES : ENGLISH;
  const texts = { next, looks, tokens };
  for (const name of Object.keys(texts)) texts[name] = readable(texts[name]);
  return { ...texts, ...chosen };
}
