/**
 * Starts GraphiQL on the page. Queries and mutations are plain requests; subscriptions use server-sent events.
 * React, ReactDOM and GraphiQL are globals of the scripts that the page loads before this one.
 */
(() => {
  const { React, ReactDOM, GraphiQL } = window;
  const JSON_TYPE = 'application/json';

  /** Sends an operation. `headers` are those of GraphiQL's header editor. */
  const send = (path, parameters, headers, accept, signal) =>
    fetch(path, {
      method: 'POST',
      headers: { accept, 'content-type': JSON_TYPE, ...headers },
      body: JSON.stringify(parameters),
      credentials: 'omit',
      signal,
    });

  /** Returns whether the operation that runs is a subscription. */
  const isSubscription = (document, name) =>
    Boolean(
      document?.definitions.some((one) => one.operation === 'subscription' && (!name || one.name?.value === name)),
    );

  /** Passes the results of an event stream to `observer`, until the event `complete`. */
  const readEvents = async (response, observer) => {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value.replaceAll('\r', '');
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const lines = text.slice(0, end).split('\n');
        text = text.slice(end + 2);
        const data = lines.filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trim());
        if (lines.includes('event: complete')) return;
        if (data.join('') !== '') observer.next(JSON.parse(data.join('\n')));
      }
    }
  };

  /** Returns an observable of the results of a subscription. */
  const subscribe = (parameters, headers) => ({
    subscribe(observer) {
      const stop = new AbortController();
      const run = async () => {
        const response = await send('/graphql/stream', parameters, headers, 'text/event-stream', stop.signal);
        if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
          observer.next(await response.json());
          return;
        }
        await readEvents(response, observer);
      };
      run().then(
        () => observer.complete(),
        (error) => (stop.signal.aborted ? undefined : observer.error(error)),
      );
      return { unsubscribe: () => stop.abort() };
    },
  });

  const fetcher = async (parameters, options) => {
    const headers = options?.headers ?? {};
    if (isSubscription(options?.documentAST, parameters.operationName)) return subscribe(parameters, headers);
    const response = await send('/graphql', parameters, headers, JSON_TYPE);
    return response.json();
  };

  const props = {
    fetcher,
    defaultEditorToolsVisibility: true,
    defaultQuery:
      '# Write a query here. Ctrl-Space completes names; the book at the left shows the schema.\n{\n  project {\n    name\n    revision\n  }\n}\n',
    shouldPersistHeaders: false,
    showPersistHeadersSettings: false,
  };
  ReactDOM.createRoot(document.querySelector('#graphiql')).render(React.createElement(GraphiQL, props));
})();
