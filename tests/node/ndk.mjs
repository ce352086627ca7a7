// NDK as a driver's client: reads what a charge point publishes, and verifies it by itself.
import { readFileSync } from "node:fs"
import WebSocket from "ws"
globalThis.WebSocket ??= WebSocket
const { default: NDK, NDKEvent, NDKPrivateKeySigner } = await import("@nostr-dev-kit/ndk")

const { relay, pubkey, secret, text } = JSON.parse(readFileSync(0, "utf8"))
const signer = new NDKPrivateKeySigner(secret)
const ndk = new NDK({ explicitRelayUrls: [relay], signer, enableOutboxModel: false })
await ndk.connect(5000)

const user = ndk.getUser({ pubkey })
const profile = await user.fetchProfile()
const found = [...(await ndk.fetchEvents({ authors: [pubkey], kinds: [30315, 30716, 10050] }))]
const status = found.find((event) => event.kind === 30716)

const message = new NDKEvent(ndk, { kind: 4, content: text, tags: [["p", pubkey]] })
await message.encrypt(user, signer, "nip04")
await message.publish()

process.stdout.write(JSON.stringify({
  name: profile?.name,
  lud16: profile?.lud16,
  kinds: found.map((event) => event.kind).sort(),
  verified: found.map((event) => event.verifySignature(false)),
  status: status?.tagValue("status"),
  address: status?.tagAddress(),
  naddr: status?.encode(),
  message: message.rawEvent(),
}))
process.exit(0)
