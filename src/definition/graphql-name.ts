/** How names of the registry (snake_case) become names of GraphQL, by graphql.org's naming conventions. */

/** `user_transaction_stats` → `userTransactionStats`. */
export function camelCase(name: string): string {
  if (!name.includes('_')) return name;
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** `user_transaction_stats` → `UserTransactionStats`. */
export function pascalCase(name: string): string {
  const camel = camelCase(name);
  return camel.charAt(0).toUpperCase() + camel.slice(1);
}

/** `user` → `users`, `category` → `categories`, `address` → `addresses`: the field for a list of entities. */
export function plural(name: string): string {
  if (/[^aeiou]y$/.test(name)) return `${name.slice(0, -1)}ies`;
  return /(?:s|x|z|ch|sh)$/.test(name) ? `${name}es` : `${name}s`;
}

/** The field under which an entity shows a view: the view's name without the entity's name in front of it. */
export function viewFieldName(entity: string, view: string): string {
  const rest = view.startsWith(`${entity}_`) ? view.slice(entity.length + 1) : view;
  return camelCase(/^[a-z]/.test(rest) ? rest : view);
}
