import fc from 'fast-check';

/** Properties draw the same cases in every run; `SEED=$RANDOM npx vitest run test/properties` looks further. */
fc.configureGlobal({ seed: Number(process.env['SEED'] ?? 20_261_121) });
