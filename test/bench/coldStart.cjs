// Loads an app as the Functions worker does, in a process that does nothing else: `coldStart.cjs <file> load|tick|poll [order]`.
// `load` prints the milliseconds that requiring the file took; `tick` runs the timer schedulePolls once, `poll` gives
// pollMailbox an order; both print `done`.
// CommonJS, so that nothing but the app is loaded.
'use strict';
const Module = require('node:module');
const [, , file, what, order] = process.argv;

let model;
const callbacks = new Map();
const hooks = [];
const core = {
  version: '1.0.0',
  hostVersion: '4.1000.0',
  registerFunction(metadata, callback) {
    callbacks.set(metadata.name, { metadata, callback });
    return new core.Disposable();
  },
  registerHook(name, callback) {
    if (name === 'appStart') hooks.push(callback);
    return new core.Disposable();
  },
  setProgrammingModel(given) {
    model = given;
  },
  getProgrammingModel: () => model,
  log: () => undefined,
  Disposable: class {
    dispose() {}
  },
};
const load = Module._load;
Module._load = function (id, ...rest) {
  return id === '@azure/functions-core' ? core : load.call(this, id, ...rest);
};

async function run(name, triggerType, data) {
  for (const hook of hooks) await hook({ hookData: {}, appHookData: {} });
  const { metadata, callback } = callbacks.get(name);
  const [bindingName] = Object.entries(metadata.bindings).find(([, { type }]) => type === triggerType);
  const invocation = model.getInvocationModel({
    invocationId: '00000000-0000-4000-8000-000000000000',
    request: { inputData: [{ name: bindingName, data }], triggerMetadata: {} },
    metadata,
    log: () => undefined,
  });
  const { context, inputs } = await invocation.getArguments();
  await invocation.getResponse(context, await invocation.invokeFunction(context, inputs, callback));
}

const timer = { Schedule: { AdjustForDST: true }, ScheduleStatus: {}, IsPastDue: false };
const works = {
  tick: () => run('schedulePolls', 'timerTrigger', { json: JSON.stringify(timer) }),
  poll: () => run('pollMailbox', 'queueTrigger', { json: order }),
};

const startedMs = performance.now();
require(file);
const loadMs = performance.now() - startedMs;
if (what === 'load') {
  console.log(String(loadMs));
} else {
  works[what]().then(
    () => console.log('done'),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}
