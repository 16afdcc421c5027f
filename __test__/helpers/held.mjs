// Loaded before a program: holds it until a line comes on its standard input, so that a tracer has time to attach.
import { readSync } from 'node:fs';

readSync(0, Buffer.alloc(1));
