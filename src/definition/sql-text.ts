/** What can be said of a text in Spark SQL without Spark. */

const QUOTED = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|--[^\n]*|\/\*[\s\S]*?\*\//g;

/** True for what may be one SELECT: it begins as one, and no other statement follows. */
export function isSingleSelect(text: string): boolean {
  const bare = text.replaceAll(QUOTED, ' ').trim();
  return /^(?:select|with)\b/i.test(bare) && !bare.includes(';');
}
