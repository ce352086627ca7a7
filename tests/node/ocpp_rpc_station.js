// A station of OCPP 2.0.1 made of npm's ocpp-rpc with strict schemas: one session from the remote
// start to the remote stop. Reads {url, id, password} and prints what it saw as JSON.
import { RPCClient } from "ocpp-rpc";

const asked = JSON.parse(await new Promise((done) => process.stdin.once("data", done)));
const seen = [];
const client = new RPCClient({
  endpoint: asked.url,
  identity: asked.id,
  password: asked.password ?? undefined,
  protocols: ["ocpp2.0.1", "ocpp1.6"],
  strictMode: true,
});
client.on("strictValidationFailure", ({ error }) => seen.push(`invalid: ${error.message}`));

const now = () => new Date().toISOString();
const request = (action) =>
  new Promise((done) =>
    client.handle(action, ({ params }) => {
      done(params);
      return { status: "Accepted" };
    }),
  );
const started = request("RequestStartTransaction");
const stopped = request("RequestStopTransaction");
const variables = (items, answer) => items.map((item) => ({ ...item, ...answer }));
client.handle("GetVariables", ({ params }) => ({
  getVariableResult: variables(params.getVariableData, { attributeStatus: "UnknownVariable" }),
}));
client.handle(({ method }) => {
  seen.push(method);
  return { status: "Rejected" };
});

let seqNo = 0;
const transactionEvent = (eventType, triggerReason, wh, info, more = {}) =>
  client.call("TransactionEvent", {
    eventType,
    triggerReason,
    timestamp: now(),
    seqNo: seqNo++,
    transactionInfo: { transactionId: "6b1d5f0e-tx", ...info },
    meterValue: [
      {
        timestamp: now(),
        sampledValue: [
          { value: wh / 1000, unitOfMeasure: { unit: "kWh" } },
          { value: 11, measurand: "Power.Active.Import", unitOfMeasure: { unit: "W", multiplier: 3 } },
        ],
      },
    ],
    ...more,
  });
const plug = (connectorStatus) =>
  client.call("StatusNotification", { timestamp: now(), evseId: 1, connectorId: 1, connectorStatus });

await client.connect();
const boot = await client.call("BootNotification", {
  reason: "PowerUp",
  chargingStation: { vendorName: "npm", model: "ocpp-rpc" },
});
await plug("Available");
const { idToken, remoteStartId } = await started;
const authorized = await client.call("Authorize", { idToken });
const start = await transactionEvent("Started", "RemoteStart", 1000, { chargingState: "Idle", remoteStartId }, { idToken });
await plug("Occupied");
await transactionEvent("Updated", "CablePluggedIn", 1000, { chargingState: "EVConnected" }, {
  evse: { id: 1, connectorId: 1 },
});
await transactionEvent("Updated", "ChargingStateChanged", 1000, { chargingState: "Charging" });
await transactionEvent("Updated", "MeterValuePeriodic", 1400, {});
const { transactionId } = await stopped;
const ended = await transactionEvent("Ended", "RemoteStop", 1500, { stoppedReason: "Remote", remoteStartId });
await plug("Available");
await client.call("Heartbeat", {});
await client.close();
const protocol = client.protocol;
console.log(JSON.stringify({ boot, authorized, start, ended, transactionId, protocol, seen }));
