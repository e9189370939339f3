/** Copies what the compiler leaves behind: SQL files, which the stores read beside their code. */
import { chmod, cp } from 'node:fs/promises';

await cp('src/store/migrations', 'dist/store/migrations', { recursive: true });
await chmod('dist/main.js', 0o755);
