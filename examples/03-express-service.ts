/** An Express service that never takes on more than it can do: five users, two at a time, and one more may wait. */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { bulkhead } from 'breakwater';
import { guard } from 'breakwater/express';
import express from 'express';

const app = express();
const api = guard([bulkhead({ maxConcurrent: 2, maxQueue: 1 })], { name: 'api', deadline: '5s' });
app.use('/api', api);
app.get('/api/report', (req, res) => {
  // Hand the signal on: the work ends when the user hangs up or the deadline passes.
  const { signal } = req.breakwater;
  const timer = setTimeout(() => res.json({ pages: 12 }), 250);
  signal.addEventListener('abort', () => clearTimeout(timer));
});

const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/report`;

const answers = await Promise.all([1, 2, 3, 4, 5].map(() => fetch(url)));
console.log(answers.map(({ status }) => status).sort()); // => [ 200, 200, 200, 503, 503 ]

const refused = answers.find(({ status }) => status === 503);
console.log(refused?.headers.get('retry-after')); // => 1
console.log(await refused?.json()); // => { type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity', title: 'Service temporarily unavailable', status: 503 }

await Promise.all(answers.filter(({ status }) => status === 200).map((answer) => answer.json()));
console.log(api.pipeline.snapshot().active); // => 0
server.closeAllConnections();
server.close();
