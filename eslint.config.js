import tseslint from 'typescript-eslint';

const time = ['Date', 'performance', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'clearTimeout', 'clearInterval'];

export default tseslint.config(
  { ignores: ['dist/**', 'coverage/**', '.matrix/**', 'node_modules/**', 'test/vectors/*.mjs'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true, ignoreVoidOperator: true }],
      '@typescript-eslint/no-this-alias': ['error', { allowedNames: ['call'] }],
      '@typescript-eslint/only-throw-error': 'off', // the very object a caller gave is what it gets back
      '@typescript-eslint/prefer-promise-reject-errors': 'off', // likewise
      '@typescript-eslint/unified-signatures': 'off',
      '@typescript-eslint/no-redundant-type-constituents': 'off', // `unknown | Failure` says what to expect
      eqeqeq: 'error',
      'no-restricted-syntax': [
        'error',
        { selector: "MemberExpression[object.name='Math'][property.name='random']", message: 'Chance enters with the scope.' },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/core/clock.ts'],
    rules: {
      'no-restricted-globals': ['error', ...time.map((name) => ({ name, message: 'Time enters once, with the scope (core/clock.ts).' }))],
    },
  },
  // A place takes the methods of what stands in it apart and calls them with it, so that all places have one shape.
  { files: ['src/core/place.ts'], rules: { '@typescript-eslint/unbound-method': 'off' } },
  {
    files: ['test/**/*.ts', 'examples/**/*.ts'],
    rules: {
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/no-empty-function': 'off', // gates in tests that keep no books
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }], // frameworks count a handler's parameters
    },
  },
  { files: ['**/*.js', '**/*.mjs', '**/*.cjs'], ...tseslint.configs.disableTypeChecked },
);
