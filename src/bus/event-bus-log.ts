/** The log of the event bus adapters. They report failures there from which they recover by themselves. */
export type BusLog = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields?: Record<string, unknown>,
) => void;
