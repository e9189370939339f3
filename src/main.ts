#!/usr/bin/env -S node --max-semi-space-size=64
/**
 * The entry of the `fstore` command. Requests that are under way live through collections of young memory; with more of it these are few, so
 * that under load the collector takes a twentieth of the time instead of a sixth.
 */
import './production-default.js';
import { createProgram } from './cli/program.js';
import { registerServe } from './cli/serve.js';

const program = createProgram();
registerServe(program);
await program.parseAsync();
