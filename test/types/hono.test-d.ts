/** What the compiler knows about Hono's adapter. Nothing here runs. */

import { bulkhead } from 'breakwater';
import { type Guard, type Visit, guard, idempotency } from 'breakwater/hono';
import { type Context, Hono } from 'hono';
import { typed } from './equal.ts';

interface Login {
  readonly Bindings: { readonly LIMITS: string };
  readonly Variables: { readonly user: { readonly id: string } };
}

export function theContextIsHonos(): void {
  const app = new Hono();
  const api = guard([bulkhead({ maxConcurrent: 1 })], {
    key: (c) => c.req.header('x-tenant'),
    address: (c) => c.req.header('cf-connecting-ip'),
    handler: ({ status, body }, c) => {
      typed(status).is<number>();
      typed(body).is<string | Uint8Array>();
      return c.text('sorry', 503);
    },
  });
  typed(api).is<Guard>();
  app.use('/api/*', api).use(guard([])).post('/orders', idempotency());
  app.get('/', (c) => {
    typed(c.get('breakwater')).is<Visit>();
    typed(c.var.breakwater).is<Visit>();
    return c.text('');
  });
}

export function anApplicationThatSaysWhatItKeepsIsBelieved(): void {
  const app = new Hono<Login>();
  app.use(guard([]));
  app.use(guard([], { key: (c: Context<Login>) => c.get('user').id }));
  app.use(idempotency({ scope: (c: Context<Login>) => c.var.user.id }));
  // @ts-expect-error -- a key is a text
  app.use(guard([], { key: (c: Context<Login>) => c.get('user') }));
  app.get('/', (c) => {
    typed(c.get('user').id).is<string>();
    typed(c.get('breakwater')).is<Visit>();
    return c.text(c.env.LIMITS);
  });
}

export function theRouteKeepsItsTypes(): void {
  const app = new Hono().use(guard([])).get('/items/:id', (c) => {
    typed(c.req.param('id')).is<string>();
    return c.json({ id: 7 });
  });
  typed(app.fetch).is<typeof app.fetch>();
}

export function whatIsWrittenWrongDoesNotCompile(): void {
  // @ts-expect-error -- no such option
  guard([], { keys: () => 'a' });
  // @ts-expect-error -- an address is a text
  guard([], { address: () => 7 });
}
