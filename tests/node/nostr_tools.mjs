// nostr-tools as the other side: a JSON list of questions in, a JSON list of answers out.
import { readFileSync } from "node:fs"
import { finalizeEvent, getPublicKey, verifyEvent } from "nostr-tools/pure"
import * as nip04 from "nostr-tools/nip04"
import * as nip05 from "nostr-tools/nip05"
import * as nip17 from "nostr-tools/nip17"
import * as nip19 from "nostr-tools/nip19"
import * as nip57 from "nostr-tools/nip57"
import { normalizeURL } from "nostr-tools/utils"

const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"))

const answers = {
  verify: ({ event }) => verifyEvent(event),
  pubkey: ({ secret }) => getPublicKey(bytes(secret)),
  sign: ({ secret, event }) => finalizeEvent(event, bytes(secret)),
  decode: ({ text }) => nip19.decode(text),
  encode: ({ kind, data }) => nip19[`${kind}Encode`](data),
  nip04Decrypt: ({ secret, peer, text }) => nip04.decrypt(bytes(secret), peer, text),
  nip04Encrypt: ({ secret, peer, text }) => nip04.encrypt(bytes(secret), peer, text),
  nip17Wrap: ({ secret, peer, text }) =>
    nip17.wrapEvent(bytes(secret), { publicKey: peer }, text),
  nip17Unwrap: ({ secret, event }) => nip17.unwrapEvent(event, bytes(secret)),
  zapRequest: ({ secret, params }) =>
    finalizeEvent(nip57.makeZapRequest(params), bytes(secret)),
  validateZapRequest: ({ text }) => nip57.validateZapRequest(text),
  zapReceipt: ({ params }) => nip57.makeZapReceipt({ ...params, paidAt: new Date(params.paidAt) }),
  isNip05: ({ text }) => nip05.isNip05(text),
  normalizeURL: ({ text }) => normalizeURL(text),
}

const asked = JSON.parse(readFileSync(0, "utf8"))
const answered = []
for (const question of asked) {
  try {
    answered.push({ value: (await answers[question.op](question)) ?? null })
  } catch (error) {
    answered.push({ error: String(error?.message ?? error) })
  }
}
process.stdout.write(JSON.stringify(answered))
