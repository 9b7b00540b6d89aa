/**
 * Run in a process of its own by the cases of `served`: one of the servers that are compared. Tells its port, and on request what processor time it has
 * taken.
 */

import { servers } from './servers.mjs';

const [which] = process.argv.slice(2);
const port = await servers[which]();
process.on('message', () => process.send({ cpu: process.cpuUsage() }));
process.on('disconnect', () => process.exit(0));
process.send({ port });
