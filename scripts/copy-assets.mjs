/** Copies files that the compiler does not: SQL files, which the stores read beside their code, and what the page loads. */
import { chmod, cp, mkdir } from 'node:fs/promises';

await cp('src/store/migrations', 'dist/store/migrations', { recursive: true });
await chmod('dist/main.js', 0o755);

await mkdir('dist/assets', { recursive: true });
for (const file of [
  'node_modules/react/umd/react.production.min.js',
  'node_modules/react-dom/umd/react-dom.production.min.js',
  'node_modules/graphiql/graphiql.min.js',
  'node_modules/graphiql/graphiql.min.css',
  'src/assets/explorer.js',
  'src/assets/page.css',
]) {
  await cp(file, `dist/assets/${file.split('/').at(-1)}`);
}
await cp('node_modules/graphiql/LICENSE', 'dist/assets/graphiql.LICENSE');
