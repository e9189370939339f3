/** `npm run generate`: writes the emitted files. */
import { mkdir, writeFile } from 'node:fs/promises';
import { emittedFiles } from './emitted-files.js';

for (const [path, text] of await emittedFiles()) {
  const file = new URL(`../${path}`, import.meta.url);
  await mkdir(new URL('./', file), { recursive: true });
  await writeFile(file, text);
}
