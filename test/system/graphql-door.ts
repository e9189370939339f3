/** How a user's program talks to FStore: plain HTTP, nothing of FStore's own code. */

export interface GraphqlAnswer<T = Record<string, unknown>> {
  readonly data?: T | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly path?: readonly (string | number)[];
    readonly extensions: { readonly code: string; readonly field?: string; readonly [name: string]: unknown };
  }[];
}

/** Posts an operation and returns the answer with its HTTP status. */
export async function post<T = Record<string, unknown>>(
  url: string,
  query: string,
  variables: Record<string, unknown> = {},
): Promise<GraphqlAnswer<T> & { status: number }> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  return { ...((await response.json()) as GraphqlAnswer<T>), status: response.status };
}

/** Posts an operation that must succeed and returns its data. */
export async function ask<T = Record<string, never>>(
  url: string,
  query: string,
  variables: Record<string, unknown> = {},
): Promise<T> {
  const answer = await post<T>(url, query, variables);
  if (answer.errors || !answer.data) throw new Error(JSON.stringify(answer));
  return answer.data;
}

/** Applies definitions; returns the revision. */
export async function apply(
  url: string,
  definitions: readonly unknown[],
  options: { prune?: boolean; allowBreaking?: boolean } = {},
): Promise<number> {
  const { prune = false, allowBreaking = false } = options;
  const mutation = `mutation ($input: DefinitionsInput!, $allowBreaking: Boolean!) {
    applyDefinitions(input: $input, allowBreaking: $allowBreaking) { revision }
  }`;
  const data = await ask<{ applyDefinitions: { revision: number } }>(url, mutation, {
    input: { definitions, prune },
    allowBreaking,
  });
  return data.applyDefinitions.revision;
}

/** Pushes events of a source; returns how many were accepted. */
export async function push(url: string, source: string, events: readonly unknown[]): Promise<number> {
  const mutation =
    'mutation ($source: String!, $events: [JSON!]!) { ingest(source: $source, events: $events) { accepted } }';
  const data = await ask<{ ingest: { accepted: number } }>(url, mutation, { source, events });
  return data.ingest.accepted;
}
