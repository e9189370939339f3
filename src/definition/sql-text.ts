/** Checks of Spark SQL that need no Spark. */

const QUOTED = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|--[^\n]*|\/\*[\s\S]*?\*\//g;

/** Returns true if the text can be a single SELECT: it begins as one, and contains no semicolon. */
export function isSingleSelect(text: string): boolean {
  const bare = text.replaceAll(QUOTED, ' ').trim();
  return /^(?:select|with)\b/i.test(bare) && !bare.includes(';');
}
