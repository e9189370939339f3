#!/usr/bin/env -S node --max-semi-space-size=64
/**
 * The entry of the `fstore` command. Requests that are under way live through collections of young memory, which
 * took a sixth of an overloaded process with Node's own 16 MB; with more of it they are fewer (bench/RESULTS.md, overload).
 */
import './production-default.js';
import { createProgram } from './cli/program.js';
import { registerServe } from './cli/serve.js';

const program = createProgram();
registerServe(program);
await program.parseAsync();
