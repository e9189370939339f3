/** Converts names of the registry (snake_case) to GraphQL names, by the conventions of graphql.org. */

/** Converts `user_transaction_stats` to `userTransactionStats`. */
export function camelCase(name: string): string {
  if (!name.includes('_')) return name;
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Converts `user_transaction_stats` to `UserTransactionStats`. */
export function pascalCase(name: string): string {
  const camel = camelCase(name);
  return camel.charAt(0).toUpperCase() + camel.slice(1);
}

/** Returns the plural of a field name: `user` → `users`, `category` → `categories`, `address` → `addresses`. */
export function plural(name: string): string {
  if (/[^aeiou]y$/.test(name)) return `${name.slice(0, -1)}ies`;
  return /(?:s|x|z|ch|sh)$/.test(name) ? `${name}es` : `${name}s`;
}

/** Returns the field of a view on its entity: the view's name in camelCase, without the entity's name as prefix. */
export function viewFieldName(entity: string, view: string): string {
  const rest = view.startsWith(`${entity}_`) ? view.slice(entity.length + 1) : view;
  return camelCase(/^[a-z]/.test(rest) ? rest : view);
}
