// The plain script as a program of its own, for one mailbox: `plainPoll <port> <user> <password> <queue>`.
import { runPlainScript } from '../plainScript.ts';

const [, , port, user, password, queueName] = process.argv;
const serviceBusConnectionString = process.env.ServiceBusConnection;
if (!port || !user || !password || !queueName || !serviceBusConnectionString)
  throw new Error('Not enough said.');
const login = { port: Number(port), user, password };
const sent = await runPlainScript({ login, serviceBusConnectionString, queueName });
console.log(String(sent));
