// A driver with nostr-tools: zaps of every kind, what is refused before an invoice exists, and his
// change sent to the lightning address that he writes.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as nip04 from "nostr-tools/nip04";
import * as nip57 from "nostr-tools/nip57";
import { finalizeEvent, generateSecretKey, getPublicKey, verifyEvent } from "nostr-tools/pure";
import { Relay, useWebSocketImplementation } from "nostr-tools/relay";
import WebSocket from "ws";

useWebSocketImplementation(WebSocket);

const asked = JSON.parse(readFileSync(0, "utf8"));
const relay = await Relay.connect(asked.relay);
const now = () => Math.floor(Date.now() / 1000);
const amount = asked.sats * 1000;
const driver = generateSecretKey();
const me = getPublicKey(driver);

function fail(text) {
  throw new Error(text);
}
const json = async (url) => (await fetch(url)).json();
const join = (url, query) => url + (url.includes("?") ? "&" : "?") + query;
const post = async (url, body) =>
  (
    await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify(body ?? {}),
    })
  ).json();

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
const hear = (fits, what) =>
  event(
    { kinds: [4], "#p": [me], since: now() - 60 },
    (found) => {
      if (found.pubkey !== point) return null;
      const text = nip04.decrypt(driver, point, found.content);
      return fits(text) ? { text } : null;
    },
    what,
  );
const say = (text) =>
  relay.publish(
    finalizeEvent(
      { kind: 4, content: nip04.encrypt(driver, point, text), tags: [["p", point]], created_at: now() },
      driver,
    ),
  );

const state = await event({ kinds: [30716] }, () => true, "charge point");
const point = state.pubkey;
const profile = await event({ kinds: [0], authors: [point] }, () => true, "profile");
const { lud16, nip05 } = JSON.parse(profile.content);
const [name, host] = lud16.split("@");
const names = await json(`http://${host}/.well-known/nostr.json?name=${nip05.split("@")[0]}`);
if (names.names[nip05.split("@")[0]] !== point) fail("its NIP-05 name is not its own");
const offer = await json(`http://${host}/.well-known/lnurlp/${name}`);
if (offer.nostrPubkey !== point || !offer.allowsNostr) fail("the charge point takes no zaps");

// The answer of the LNURL server to a zap request, and the request as it went.
async function request(secret, template) {
  const raw = JSON.stringify(finalizeEvent(template, secret));
  const answer = await json(
    join(offer.callback, `amount=${amount}&nostr=${encodeURIComponent(raw)}`),
  );
  return { ...answer, raw };
}
const plain = (comment) =>
  nip57.makeZapRequest({ pubkey: point, amount, relays: [asked.relay], comment });
const ofState = (comment) => ({
  ...nip57.makeZapRequest({ event: state, amount, relays: [asked.relay], comment }),
});
const anonymous = (comment) => {
  const template = plain(comment);
  return { ...template, tags: [...template.tags, ["anon", ""]] };
};

// Pays, and checks the receipt as NIP-57 tells clients to.
async function pay({ pr, reason, raw }) {
  if (!pr) fail(`no invoice: ${reason}`);
  await post(`${asked.http}/dev/pay`, { pr });
  const receipt = await event(
    { kinds: [9735], "#p": [point], authors: [offer.nostrPubkey] },
    (e) => e.tags.some(([n, v]) => n === "bolt11" && v === pr),
    "receipt",
  );
  const tag = (n) => receipt.tags.find(([found]) => found === n)?.[1];
  if (tag("description") !== raw) fail("the receipt does not carry the request as it was");
  if (nip57.validateZapRequest(tag("description")) !== null) fail("the request is invalid");
  const inner = JSON.parse(raw);
  if (tag("P") !== inner.pubkey) fail("the receipt names another payer");
  for (const copied of ["e", "a", "k"])
    if (tag(copied) !== inner.tags.find(([n]) => n === copied)?.[1]) fail(`${copied} is not copied`);
  return { hash: createHash("sha256").update(raw).digest("hex"), pr, a: tag("a"), P: tag("P") };
}

const refused = {};
refused.connector = (await request(driver, plain("connector 7"))).reason;
refused.amount = (
  await json(
    join(
      offer.callback,
      `amount=${amount + 1000}&nostr=${encodeURIComponent(JSON.stringify(finalizeEvent(plain(""), driver)))}`,
    ),
  )
).reason;

// The state, with e, a and k: the charge begins, and another zap of the owner's tops it up.
const zaps = [await pay(await request(driver, ofState("connector 1")))];
await hear((text) => /Charging at connector/.test(text), "start");
refused.stranger = (await request(generateSecretKey(), plain(""))).reason;
refused.unknown = (await request(generateSecretKey(), anonymous(""))).reason;
zaps.push(await pay(await request(driver, plain("top up"))));
await hear((text) => /added/.test(text), "word of the top-up");
await say("stop");
const finished = await hear((text) => /Finished/.test(text), "end");
await say(`refund ${asked.address.toUpperCase()}`);
await hear((text) => /on their way/.test(text), "word of the refund");
const back = await hear((text) => /came back/.test(text), "change");

// An anonymous zap: its session belongs to whoever has the link in the success action.
const anon = await request(generateSecretKey(), anonymous(""));
zaps.push(await pay(anon));
const page = anon.successAction.url;
let session = {};
for (let tries = 0; tries < 600 && session.state !== "CHARGING"; tries++) {
  session = await (await fetch(page, { headers: { accept: "application/json" } })).json();
  await new Promise((resolve) => setTimeout(resolve, 50));
}
await post(`${page}/stop`);
for (let tries = 0; tries < 600 && session.state !== "CLOSED"; tries++) {
  session = await (await fetch(page, { headers: { accept: "application/json" } })).json();
  await new Promise((resolve) => setTimeout(resolve, 50));
}

process.stdout.write(
  JSON.stringify({ zaps, refused, me, point, finished: finished.text, back: back.text, session }),
);
relay.close();
process.exit(0);
