// Loads an app as the Functions worker does, in a process that does nothing else: `coldStart.cjs <file> load|tick`.
// `load` prints the milliseconds that requiring the file took; `tick` runs the timer schedulePolls once and prints `done`.
// CommonJS, so that nothing but the app is loaded.
'use strict';
const Module = require('node:module');
const [, , file, what] = process.argv;

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

async function tick() {
  for (const hook of hooks) await hook({ hookData: {}, appHookData: {} });
  const { metadata, callback } = callbacks.get('schedulePolls');
  const [bindingName] = Object.entries(metadata.bindings).find(([, { type }]) => type === 'timerTrigger');
  const timer = { Schedule: { AdjustForDST: true }, ScheduleStatus: {}, IsPastDue: false };
  const invocation = model.getInvocationModel({
    invocationId: '00000000-0000-4000-8000-000000000000',
    request: {
      inputData: [{ name: bindingName, data: { json: JSON.stringify(timer) } }],
      triggerMetadata: {},
    },
    metadata,
    log: () => undefined,
  });
  const { context, inputs } = await invocation.getArguments();
  await invocation.getResponse(context, await invocation.invokeFunction(context, inputs, callback));
}

const startedMs = performance.now();
require(file);
const loadMs = performance.now() - startedMs;
if (what === 'load') {
  console.log(String(loadMs));
} else {
  tick().then(
    () => console.log('done'),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}
