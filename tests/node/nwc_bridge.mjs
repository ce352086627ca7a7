// A wallet service for Nostr Wallet Connect whose answers are made elsewhere.
//
// Reads its set-up as one line of JSON, says {"ready": true}, prints every request that it
// could decrypt as {"id", "method", "params"}, and sends what it reads: {"answer": id, "result"
// or "error"}, or {"notify": {...}, "forged": whether by a stranger's key}.
// Cryptography is nostr-tools', the socket is ws: nothing of Strom's is in it.
import { createInterface } from "node:readline";
import { finalizeEvent, generateSecretKey } from "nostr-tools/pure";
import * as nip04 from "nostr-tools/nip04";
import * as nip44 from "nostr-tools/nip44";
import { hexToBytes } from "nostr-tools/utils";
import WebSocket from "ws";

const lines = createInterface({ input: process.stdin });
const setup = JSON.parse(await new Promise((resolve) => lines.once("line", resolve)));
lines.once("close", () => process.exit(0));
const { relay, walletSecret, walletPubkey, clientPubkey, info, encryption } = setup;

const secret = hexToBytes(walletSecret);
const key = nip44.getConversationKey(secret, clientPubkey);
const modern = encryption === "nip44_v2";
const seal = (text) =>
  modern ? nip44.encrypt(text, key) : nip04.encrypt(walletSecret, clientPubkey, text);
const unseal = (text) =>
  modern ? nip44.decrypt(text, key) : nip04.decrypt(walletSecret, clientPubkey, text);
const say = (message) => console.log(JSON.stringify(message));

const socket = new WebSocket(relay);
await new Promise((resolve) => socket.once("open", resolve));
function publish(kind, tags, content, signer = secret) {
  const event = { kind, tags, content, created_at: Math.floor(Date.now() / 1000) };
  socket.send(JSON.stringify(["EVENT", finalizeEvent(event, signer)]));
}

socket.on("message", (data) => {
  const [type, , event] = JSON.parse(data);
  if (type === "EOSE") say({ ready: true });
  if (type === "EVENT") {
    say({ id: event.id, tags: event.tags, ...JSON.parse(unseal(event.content)) });
  }
});
publish(13194, modern ? [["encryption", encryption]] : [], info);
const filter = { kinds: [23194], authors: [clientPubkey], "#p": [walletPubkey], limit: 0 };
socket.send(JSON.stringify(["REQ", "requests", filter]));

lines.on("line", (line) => {
  const message = JSON.parse(line);
  const to = ["p", clientPubkey];
  if (message.answer) {
    const body = { result: message.result ?? null, error: message.error ?? null };
    publish(23195, [to, ["e", message.answer]], seal(JSON.stringify(body)));
  } else {
    const signer = message.forged ? generateSecretKey() : secret;
    publish(modern ? 23197 : 23196, [to], seal(JSON.stringify(message.notify)), signer);
  }
});
