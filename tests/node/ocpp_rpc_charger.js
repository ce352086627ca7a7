// A charger made of npm's ocpp-rpc with strict schemas: one session from the remote start to the
// remote stop. Reads {url, id, password} and prints what it saw as JSON.
import { RPCClient } from "ocpp-rpc";

const asked = JSON.parse(await new Promise((done) => process.stdin.once("data", done)));
const seen = [];
const client = new RPCClient({
  endpoint: asked.url,
  identity: asked.id,
  password: asked.password ?? undefined,
  protocols: ["ocpp1.6"],
  strictMode: true,
});
client.on("strictValidationFailure", ({ error }) => seen.push(`invalid: ${error.message}`));

const now = () => new Date().toISOString();
const started = new Promise((done) =>
  client.handle("RemoteStartTransaction", ({ params }) => {
    done(params);
    return { status: "Accepted" };
  }),
);
const stopped = new Promise((done) =>
  client.handle("RemoteStopTransaction", ({ params }) => {
    done(params);
    return { status: "Accepted" };
  }),
);
client.handle(({ method }) => {
  seen.push(method);
  return method === "GetConfiguration" ? {} : { status: "Rejected" };
});

await client.connect();
const boot = await client.call("BootNotification", {
  chargePointVendor: "npm",
  chargePointModel: "ocpp-rpc",
});
const status = (name) =>
  client.call("StatusNotification", { connectorId: 1, errorCode: "NoError", status: name });
await status("Available");
const { idTag } = await started;
await status("Preparing");
const authorized = await client.call("Authorize", { idTag });
const start = await client.call("StartTransaction", {
  connectorId: 1,
  idTag,
  meterStart: 1000,
  timestamp: now(),
});
await status("Charging");
await client.call("MeterValues", {
  connectorId: 1,
  transactionId: start.transactionId,
  meterValue: [
    {
      timestamp: now(),
      sampledValue: [
        { value: "1.4", unit: "kWh", measurand: "Energy.Active.Import.Register" },
        { value: "11000", unit: "W", measurand: "Power.Active.Import" },
      ],
    },
  ],
});
const { transactionId } = await stopped;
await client.call("StopTransaction", {
  transactionId,
  idTag,
  meterStop: 1500,
  timestamp: now(),
  reason: "Remote",
});
await status("Finishing");
await client.call("Heartbeat", {});
await client.close();
console.log(JSON.stringify({ boot, authorized, start, transactionId, seen }));
