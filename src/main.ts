#!/usr/bin/env node
/** The entry of the `fstore` command. */
import './production-default.js';
import { createProgram } from './cli/program.js';
import { registerServe } from './cli/serve.js';

const program = createProgram();
registerServe(program);
await program.parseAsync();
