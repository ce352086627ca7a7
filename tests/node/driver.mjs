// A driver with nothing but nostr-tools and HTTP: finds a charge point, zaps it, verifies the
// receipt, sees the status change, has a bystander refused, stops, and takes the change.
import { readFileSync } from "node:fs";
import * as nip04 from "nostr-tools/nip04";
import * as nip17 from "nostr-tools/nip17";
import * as nip59 from "nostr-tools/nip59";
import * as nip57 from "nostr-tools/nip57";
import { bech32 } from "@scure/base";
import { finalizeEvent, generateSecretKey, getPublicKey, verifyEvent } from "nostr-tools/pure";
import { Relay, useWebSocketImplementation } from "nostr-tools/relay";
import WebSocket from "ws";

useWebSocketImplementation(WebSocket);

const asked = JSON.parse(readFileSync(0, "utf8"));
const relay = await Relay.connect(asked.relay);
const now = () => Math.floor(Date.now() / 1000);

function fail(text) {
  throw new Error(text);
}

// The first event that fits, stored or live.
function event(filter, fits, what) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${what}`)), 30_000);
    const sub = relay.subscribe([filter], {
      onevent(found) {
        if (!verifyEvent(found)) return reject(new Error(`forged ${what}`));
        const value = fits(found);
        if (!value) return;
        clearTimeout(late);
        sub.close();
        resolve(value === true ? found : value);
      },
    });
  });
}

class Person {
  constructor(protocol) {
    this.secret = generateSecretKey();
    this.pubkey = getPublicKey(this.secret);
    this.protocol = protocol;
  }
  async introduce() {
    if (this.protocol !== "nip17") return;
    await relay.publish(
      finalizeEvent(
        { kind: 10050, content: "", tags: [["relay", asked.relay]], created_at: now() },
        this.secret,
      ),
    );
  }
  async say(to, text) {
    const message =
      this.protocol === "nip04"
        ? finalizeEvent(
            { kind: 4, content: nip04.encrypt(this.secret, to, text), tags: [["p", to]], created_at: now() },
            this.secret,
          )
        : nip17.wrapEvent(this.secret, { publicKey: to }, text);
    await relay.publish(message);
  }
  hear(from, fits, what) {
    const read = (found) => {
      if (found.kind === 4) {
        if (found.pubkey !== from) return null;
        const text = nip04.decrypt(this.secret, from, found.content);
        return fits(text) ? { text } : null;
      }
      const rumor = nip59.unwrapEvent(found, this.secret);
      return rumor.pubkey === from && fits(rumor.content) ? { text: rumor.content } : null;
    };
    const kinds = this.protocol === "nip04" ? [4] : [1059];
    return event({ kinds, "#p": [this.pubkey] }, read, what);
  }
}

const json = async (url) => (await fetch(url)).json();
const join = (url, query) => url + (url.includes("?") ? "&" : "?") + query;
const post = async (path, body) =>
  (
    await fetch(asked.http + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    })
  ).json();

const driver = new Person(asked.protocol);
const bystander = new Person("nip04");
await driver.introduce();

const profile = await event({ kinds: [0] }, (e) => JSON.parse(e.content).lud16 && true, "profile");
const point = profile.pubkey;
const { lud16, bot } = JSON.parse(profile.content);
if (bot !== true) fail("the profile does not say that it is a bot");
const [name, host] = lud16.split("@");
const offer = await json(`http://${host}/.well-known/lnurlp/${name}`);
if (offer.nostrPubkey !== point || !offer.allowsNostr) fail("the charge point takes no zaps");

const amount = asked.sats * 1000;
const request = finalizeEvent(
  nip57.makeZapRequest({ pubkey: point, amount, relays: [asked.relay], comment: "hello" }),
  driver.secret,
);
const raw = JSON.stringify(request);
const { pr, reason } = await json(
  join(offer.callback, `amount=${amount}&nostr=${encodeURIComponent(raw)}`),
);
if (!pr) fail(`no invoice: ${reason}`);
await post("/dev/pay", { pr });
const receipt = await event(
  { kinds: [9735], "#p": [point], authors: [point] },
  (e) => e.tags.some(([n, v]) => n === "bolt11" && v === pr),
  "receipt",
);
const description = receipt.tags.find(([n]) => n === "description")[1];
if (description !== raw) fail("the receipt does not carry the request as it was");
if (nip57.validateZapRequest(description) !== null) fail("the request in the receipt is invalid");

const charging = await event(
  { kinds: [30716], authors: [point] },
  (e) => e.tags.some(([n, v]) => n === "status" && v === "Charging"),
  "status",
);
await bystander.say(point, "stop");
const refusal = await bystander.hear(point, () => true, "answer to the bystander");
const still = driver.hear(point, (text) => /kWh/.test(text), "status");
await driver.say(point, "status");
const status = await still;

await driver.say(point, "stop");
const lnurlIn = (text) => /lnurl1[a-z0-9]+/i.exec(text)?.[0];
const finished = await driver.hear(
  point,
  (text) => lnurlIn(text) && /Finished/.test(text),
  "message with the refund",
);
const words = bech32.decode(lnurlIn(finished.text).toLowerCase(), 2000).words;
const url = new TextDecoder().decode(Uint8Array.from(bech32.fromWords(words)));
const withdraw = await json(url);
if (withdraw.tag !== "withdrawRequest") fail(`no refund: ${JSON.stringify(withdraw)}`);
const mine = await post("/dev/invoice", { amount_msat: withdraw.maxWithdrawable });
const claimed = await json(join(withdraw.callback, `k1=${withdraw.k1}&pr=${mine.pr}`));
if (claimed.status !== "OK") fail(`claim refused: ${claimed.reason}`);
await driver.hear(point, (text) => /came back/.test(text), "word of the refund");
const paid = await json(`${asked.http}/dev/invoice/${mine.payment_hash}`);

process.stdout.write(
  JSON.stringify({
    refusal: refusal.text,
    status: status.text,
    charging: charging.tags,
    refunded_msat: withdraw.maxWithdrawable,
    paid: paid.paid,
  }),
);
relay.close();
process.exit(0);
