#!/usr/bin/env -S node --max-semi-space-size=64
/**
 * The entry point of the `fstore` command.
 *
 * The first line gives Node a larger young generation than its default of 16 MB. Under overload, every collection copies
 * the requests in flight, and a larger one collects less often. Goodput was 70 to 75 % of the capacity with 16 MB, and
 * 87 % or more with 64 MB (bench/RESULTS.md, overload).
 */
import './production-default.js';
import { createProgram } from './cli/program.js';
import { registerServe } from './cli/serve.js';

const program = createProgram();
registerServe(program);
await program.parseAsync();
