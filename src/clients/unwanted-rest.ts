/** The rest of an answer that nobody wants. It is read to its end, so that its connection can be used again, unless that takes more than a new connection would. */

/** If it is no longer than this, bytes. */
export const WORTH_READING = 65_536;

/** And if it comes within this time, ms. */
export const READ_OUT = 1000;
