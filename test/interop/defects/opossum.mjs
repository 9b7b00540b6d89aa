/** The package as it is; `PEERS=newest` puts the newest in its place here too. */

export { default } from 'opossum';
