// A wallet service for Nostr Wallet Connect: @getalby/sdk's NWCWalletService over an LNbits.
//
// Reads one line of JSON from standard input, says "ready", and serves until the input ends.
// The class sends no notifications, so those are made with nostr-tools here.
import { createInterface } from "node:readline";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket;
const { NWCWalletService, NWCWalletServiceKeyPair } = await import("@getalby/sdk/nwc");
const { getPublicKey } = await import("nostr-tools/pure");
const { hexToBytes } = await import("nostr-tools/utils");

const lines = createInterface({ input: process.stdin });
const setup = JSON.parse(await new Promise((resolve) => lines.once("line", resolve)));
lines.once("close", () => process.exit(0));
const { relay, walletSecret, clientPubkey, lnbits, methods, notifications, encryptions } = setup;

async function call(method, path, body) {
  const response = await fetch(lnbits.url + path, {
    method,
    headers: { "X-Api-Key": lnbits.adminkey, "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  return { ok: response.ok, body: await response.json() };
}

const seconds = (time) => Math.floor(Date.parse(time) / 1000);
const STATES = { success: "settled", pending: "pending", failed: "failed" };
const fail = (code, message) => ({ result: undefined, error: { code, message } });
const succeed = (result) => ({ result, error: undefined });

function transaction(row) {
  const settled = row.status === "success";
  return {
    type: row.amount > 0 ? "incoming" : "outgoing",
    state: STATES[row.status],
    invoice: row.bolt11,
    payment_hash: row.payment_hash,
    preimage: settled ? row.preimage : "",
    amount: Math.abs(row.amount),
    fees_paid: Math.abs(row.fee),
    created_at: seconds(row.created_at),
    settled_at: settled ? seconds(row.updated_at) : null,
  };
}

async function rows(query) {
  const search = new URLSearchParams(query);
  return (await call("GET", `/api/v1/payments/paginated?${search}`)).body.data;
}

async function lookup(paymentHash) {
  const found = await rows({ payment_hash: paymentHash, recheck_pending: "true" });
  return found.find((row) => row.amount < 0) ?? found[0];
}

const handlers = {
  getInfo: async () =>
    succeed({
      alias: "LNbits over NWC",
      pubkey: getPublicKey(hexToBytes(walletSecret)),
      network: "mainnet",
      methods,
      notifications,
    }),
  getBalance: async () => succeed({ balance: (await call("GET", "/api/v1/wallet")).body.balance }),
  makeInvoice: async (request) => {
    if (request.amount % 1000) return fail("OTHER", "whole satoshis only");
    const made = await call("POST", "/api/v1/payments", {
      out: false,
      amount: request.amount / 1000,
      memo: request.description,
      description_hash: request.description_hash,
      expiry: request.expiry,
    });
    return made.ok ? succeed(transaction(made.body)) : fail("OTHER", made.body.detail);
  },
  payInvoice: async (request) => {
    const paid = await call("POST", "/api/v1/payments", { out: true, bolt11: request.invoice });
    if (paid.ok) {
      return succeed({ preimage: paid.body.preimage, fees_paid: Math.abs(paid.body.fee) });
    }
    const poor = paid.body.detail.startsWith("Insufficient balance");
    return fail(poor ? "INSUFFICIENT_BALANCE" : "PAYMENT_FAILED", paid.body.detail);
  },
  lookupInvoice: async (request) => {
    const found = await lookup(request.payment_hash);
    return found ? succeed(transaction(found)) : fail("NOT_FOUND", "no such invoice");
  },
  listTransactions: async (request) => {
    const query = {
      sortby: "created_at",
      direction: "desc",
      limit: request.limit,
      offset: request.offset,
    };
    if (!request.unpaid) query.status = "success";
    if (request.type === "incoming") query["amount[gt]"] = 0;
    const found = (await rows(query)).map(transaction);
    return succeed({ transactions: found.filter((one) => one.created_at >= request.from) });
  },
};
const NAMES = {
  get_info: "getInfo",
  get_balance: "getBalance",
  make_invoice: "makeInvoice",
  pay_invoice: "payInvoice",
  lookup_invoice: "lookupInvoice",
  list_transactions: "listTransactions",
};
const offered = Object.fromEntries(methods.map((name) => [NAMES[name], handlers[NAMES[name]]]));

const service = new NWCWalletService({ relayUrls: [relay] });
const keypair = new NWCWalletServiceKeyPair(walletSecret, clientPubkey);

async function publish(kind, tags, content) {
  const template = { kind, tags, content, created_at: Math.floor(Date.now() / 1000) };
  const event = await service.signEvent(template, walletSecret);
  await Promise.any(service.pool.publish([relay], event));
}

async function notify(row) {
  const text = JSON.stringify({
    notification_type: "payment_received",
    notification: transaction(row),
  });
  const tags = [["p", clientPubkey]];
  if (encryptions.includes("nip44_v2")) {
    await publish(23197, tags, await service.encrypt(keypair, text, "nip44_v2"));
  }
  if (encryptions.includes("nip04")) {
    await publish(23196, tags, await service.encrypt(keypair, text, "nip04"));
  }
}

if (notifications.includes("payment_received")) {
  const told = new Set();
  const connect = () => {
    const url = `${lnbits.url.replace(/^http/, "ws")}/api/v1/ws/${lnbits.adminkey}`;
    const socket = new WebSocket(url);
    socket.on("message", async (message) => {
      const { payment } = JSON.parse(message);
      if (payment.amount <= 0 || told.has(payment.payment_hash)) return;
      told.add(payment.payment_hash);
      for (let attempt = 0; attempt < 50; attempt++) {
        const row = await lookup(payment.payment_hash);
        if (row?.status === "success") return notify(row);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    });
    socket.on("error", () => {});
    socket.on("close", () => setTimeout(connect, 500));
    return socket;
  };
  const socket = connect();
  await new Promise((resolve) => socket.once("open", resolve));
}

// A request that comes before the relay has the subscription reaches nobody, and the class does
// not wait for that. The relay takes one message after the other: what is published behind the
// subscription, and taken, shows that it is there.
await new Promise((resolve) => {
  const subscribe = service.pool.subscribe.bind(service.pool);
  service.pool.subscribe = (relays, filter, handlers) =>
    subscribe(relays, filter, { ...handlers, onconnect: resolve });
  service.subscribe(keypair, offered);
});

if (encryptions.length === 2) {
  await service.publishWalletServiceInfoEvent(walletSecret, methods, notifications);
} else {
  // The class always offers both; a wallet of before 2025 offers NIP-04 and says nothing.
  const tags = [["notifications", notifications.join(" ")]];
  if (encryptions[0] !== "nip04") tags.push(["encryption", encryptions.join(" ")]);
  await publish(13194, tags, methods.join(" "));
}
console.log("ready");
