// A driver whose client is NDK: finds a charge point, zaps its profile and tops up by zapping its
// state, verifies the receipts, writes in both protocols, and has his change sent to the
// lightning address of his profile.
import { readFileSync } from "node:fs"
import WebSocket from "ws"
globalThis.WebSocket ??= WebSocket
const ndkModule = await import("@nostr-dev-kit/ndk")
const { default: NDK, NDKEvent, NDKPrivateKeySigner, NDKZapper, giftWrap, giftUnwrap, zapInvoiceFromEvent } =
  ndkModule

const asked = JSON.parse(readFileSync(0, "utf8"))
const now = () => Math.floor(Date.now() / 1000)
const began = now()
const signer = NDKPrivateKeySigner.generate()
const ndk = new NDK({ explicitRelayUrls: [asked.relay], signer, enableOutboxModel: false })
// NDK reaches every lightning address by https; this machine's is served by http.
ndk.httpFetch = (url, options) => fetch(String(url).replace("https://127.0.0.1", "http://127.0.0.1"), options)
await ndk.connect(5000)
const me = await signer.user()
me.ndk = ndk

function fail(text) {
  throw new Error(text)
}

const post = async (path, body) =>
  (
    await fetch(asked.http + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    })
  ).json()

// Whatever comes in is kept, and looked through by whoever waits for something.
const events = []
const messages = []
const waiting = new Set()
function came() {
  for (const look of [...waiting]) look()
}
function soon(find, what) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(
      () => reject(new Error(`no ${what}; heard ${JSON.stringify(messages.map((m) => m.text))}`)),
      30_000,
    )
    const look = () => {
      const found = find()
      if (!found) return
      clearTimeout(late)
      waiting.delete(look)
      resolve(found)
    }
    waiting.add(look)
    look()
  })
}
function listen(filter, take) {
  const sub = ndk.subscribe(filter, { closeOnEose: false })
  sub.on("event", async (event) => {
    if (!event.verifySignature(false)) fail("forged event")
    await take(event)
    came()
  })
}

const publish = async (kind, content, tags = []) => {
  const event = new NDKEvent(ndk, { kind, content, tags, created_at: now() })
  await event.publish()
}
await publish(0, JSON.stringify({ name: "Dora", lud16: asked.address }))
await publish(10050, "", [["relay", asked.relay]])

// Discovery: by the state alone.
const state = await new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error("no charge point found")), 30_000)
  const looking = { kinds: [30716], "#t": ["ev-charging"] }
  ndk.subscribe(looking, { closeOnEose: false }).on("event", resolve)
})
if (!state.verifySignature(false)) fail("a forged charge point")
const point = ndk.getUser({ pubkey: state.pubkey })
const profile = await point.fetchProfile()

listen({ kinds: [9735], "#p": [point.pubkey] }, (event) => events.push(event))
listen({ kinds: [4], "#p": [me.pubkey], authors: [point.pubkey] }, async (event) => {
  await event.decrypt(point, signer, "nip04")
  messages.push({ protocol: "nip04", text: event.content })
})
listen({ kinds: [1059], "#p": [me.pubkey] }, async (event) => {
  const rumor = await giftUnwrap(event, undefined, signer)
  if (rumor.pubkey === point.pubkey && rumor.created_at >= began)
    messages.push({ protocol: "nip17", text: rumor.content })
})
const hear = async (protocol, fits, what) => {
  const found = await soon(
    () => messages.find((m) => !m.taken && m.protocol === protocol && fits(m.text)),
    what,
  )
  found.taken = true
  return found.text
}
const say = async (text, protocol) => {
  const message = new NDKEvent(ndk, {
    kind: protocol === "nip04" ? 4 : 14,
    content: text,
    tags: [["p", point.pubkey]],
    created_at: now(),
  })
  if (protocol === "nip04") {
    await message.encrypt(point, signer, "nip04")
    await message.publish()
    return
  }
  message.pubkey = me.pubkey
  const wrapped = await giftWrap(message, point, signer)
  await wrapped.publish()
}

// A zap by NDK's own zapper, and its receipt by NDK's own check.
async function zap(target, comment) {
  let bolt11 = ""
  const zapper = new NDKZapper(target, asked.sats * 1000, "msat", {
    comment,
    signer,
    lnPay: async ({ pr }) => {
      bolt11 = pr
      return post("/dev/pay", { pr })
    },
  })
  const results = await zapper.zap(["nip57"])
  for (const result of results.values()) if (result instanceof Error) throw result
  if (!bolt11) fail("nothing was to be paid")
  const receipt = await soon(() => events.find((event) => event.tagValue("bolt11") === bolt11), "receipt")
  if (receipt.pubkey !== point.pubkey) fail("the receipt is signed by somebody else")
  const request = new NDKEvent(ndk, JSON.parse(receipt.tagValue("description")))
  if (!request.verifySignature(false) || request.pubkey !== me.pubkey) fail("another request")
  return { receipt: receipt.rawEvent(), invoice: zapInvoiceFromEvent(receipt) }
}

const first = await zap(point, "Hello!")
await hear("nip17", (text) => /received/.test(text), "thanks")
await soon(() => messages.find((m) => /Charging at connector/.test(m.text)), "start")
const second = await zap(state, "more")
await hear("nip17", (text) => /added/.test(text), "word of the top-up")
await say("status", "nip17")
const status = await hear("nip17", (text) => /kWh/.test(text), "status")
await say("price", "nip04")
const price = await hear("nip04", (text) => /sat\/kWh/.test(text), "price")
await say("stop", "nip17")
const finished = await hear("nip17", (text) => /Finished/.test(text), "end")
const back = await hear("nip17", (text) => /came back/.test(text), "change")
await say("receipt", "nip17")
const receipt = await hear(
  "nip17",
  (text) => /Receipt/.test(text) && /Came back/.test(text),
  "signed receipt",
)
// The session page offers the same receipt as the event that was signed.
const page = messages.map((m) => /http\S+\/s\/\S+/.exec(m.text)?.[0]).find(Boolean)
const signed = new NDKEvent(ndk, await (await fetch(`${page}/receipt.json`)).json())

// A receipt is for the payer alone.
const published = await ndk.fetchEvents({ kinds: [signed.kind] })
if (published.size) fail("the receipt was published")

process.stdout.write(
  JSON.stringify({
    lud16: profile.lud16,
    zapped: [first.receipt, second.receipt],
    invoices: [first.invoice, second.invoice].map((i) => i && { zapper: i.zapper, zappee: i.zappee }),
    me: me.pubkey,
    point: point.pubkey,
    address: state.tagAddress(),
    status,
    price,
    finished,
    back,
    signed: signed.verifySignature(false) && signed.pubkey === point.pubkey,
    receipt,
  }),
)
process.exit(0)
