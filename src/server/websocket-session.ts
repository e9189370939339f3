/**
 * One connection that speaks graphql-transport-ws.
 *
 * Boundary: the form of messages is graphql-ws's. Its server is not used, because it keeps operations by the id that the client gives: an
 * operation that has ended there still answers and ends the next one of the same id.
 *
 * Invariants
 * 1. After `complete`, or after the connection has closed, an operation sends nothing and holds nothing.
 * 2. An operation that cannot run ends with an `error` of its own id. Only what is not a message of the protocol closes the connection.
 * 3. While the client does not read, an operation waits for it and gets the newest value of each entity afterwards.
 */
import type { IncomingMessage } from 'node:http';
import type { GraphQLFormattedError } from 'graphql';
import { CloseCode, type Message, MessageType, type SubscribePayload, validateMessage } from 'graphql-ws';
import { WebSocket } from 'ws';
import { FStoreError } from '../errors.js';
import type { Authenticate } from './authentication.js';
import { formatErrors, formatResult } from './graphql-error.js';
import type { OperationRequest } from './operation-gate.js';
import type { Begun, OperationRun, Subscriber } from './operation-run.js';

/** Milliseconds in which a client has to send `connection_init`, the value of graphql-ws. */
const INIT_TIMEOUT = 3_000;
/** Milliseconds between two pings; a client that has not answered by the next one is gone. */
const PING_INTERVAL = 12_000;
/** A close frame has room for 123 bytes. */
const MAX_REASON = 100;

interface RunningOperation {
  stream: Extract<Begun, { kind: 'stream' }> | null;
}

export class WebSocketSession {
  readonly #socket: WebSocket;
  readonly #request: IncomingMessage;
  readonly #run: OperationRun;
  readonly #authenticate: Authenticate;
  readonly #operations = new Map<string, RunningOperation>();
  readonly #initTimer: NodeJS.Timeout;
  readonly #pingTimer: NodeJS.Timeout;
  #subscriber: Subscriber | null = null;
  #isInitialized = false;
  #isAlive = true;

  constructor(socket: WebSocket, request: IncomingMessage, run: OperationRun, authenticate: Authenticate) {
    [this.#socket, this.#request, this.#run, this.#authenticate] = [socket, request, run, authenticate];
    this.#initTimer = setTimeout(
      () => this.#close(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout'),
      INIT_TIMEOUT,
    );
    this.#pingTimer = setInterval(() => this.#ping(), PING_INTERVAL);
    socket.on('pong', () => {
      this.#isAlive = true;
    });
    socket.on('message', (data) => this.#receive(String(data)));
    // ws closes the connection itself, with the code of the error.
    socket.on('error', () => {});
    socket.on('close', () => this.#end());
  }

  #receive(text: string): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    let message: unknown;
    try {
      message = JSON.parse(text);
      this.#handle(validateMessage(message));
    } catch (error) {
      const { type, id } = (message ?? {}) as { type?: unknown; id?: unknown };
      const reason = error instanceof Error ? error.message : String(error);
      if (this.#subscriber && type === MessageType.Subscribe && typeof id === 'string' && id !== '') {
        if (this.#operations.has(id)) return;
        this.#sendErrors(id, new FStoreError('BAD_REQUEST', reason, { field: 'payload' }));
        return;
      }
      this.#close(CloseCode.BadRequest, `Invalid message received: ${reason}`);
    }
  }

  #handle(message: Message): void {
    switch (message.type) {
      case MessageType.ConnectionInit:
        this.#initialize(message.payload);
        return;
      case MessageType.Ping:
        void this.#send({ type: MessageType.Pong, ...(message.payload ? { payload: message.payload } : {}) });
        return;
      case MessageType.Pong:
        return;
      case MessageType.Subscribe:
        if (!this.#subscriber) this.#close(CloseCode.Unauthorized, 'Unauthorized');
        else if (this.#operations.has(message.id)) {
          this.#close(CloseCode.SubscriberAlreadyExists, `Subscriber for ${message.id} already exists`);
        } else void this.#operate(message.id, message.payload, this.#subscriber);
        return;
      case MessageType.Complete:
        this.#operations.get(message.id)?.stream?.end();
        this.#operations.delete(message.id);
        return;
      default:
        this.#close(CloseCode.BadRequest, `Unexpected message of type ${message.type} received`);
    }
  }

  #initialize(parameters: Readonly<Record<string, unknown>> | undefined): void {
    if (this.#isInitialized) {
      this.#close(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests');
      return;
    }
    this.#isInitialized = true;
    clearTimeout(this.#initTimer);
    const [, own] = Object.entries(parameters ?? {}).find(([name]) => name.toLowerCase() === 'authorization') ?? [];
    try {
      const actor = this.#authenticate(typeof own === 'string' ? own : this.#request.headers.authorization);
      this.#subscriber = { actor, subscriptions: 0 };
    } catch (error) {
      this.#close(CloseCode.Forbidden, error instanceof FStoreError ? error.code : 'Forbidden');
      return;
    }
    void this.#send({ type: MessageType.ConnectionAck });
  }

  async #operate(id: string, payload: SubscribePayload, subscriber: Subscriber): Promise<void> {
    const operation: RunningOperation = { stream: null };
    const isCurrent = (): boolean => this.#operations.get(id) === operation;
    this.#operations.set(id, operation);
    try {
      const begun = await this.#run.begin(payload as OperationRequest, subscriber);
      if (!isCurrent()) {
        if (begun.kind === 'stream') begun.end();
        return;
      }
      if (begun.kind === 'refused') return this.#sendErrors(id, ...begun.errors);
      if (begun.kind === 'result') await this.#sendResult(id, begun.result);
      else {
        operation.stream = begun;
        for await (const result of begun.results) {
          if (!isCurrent()) return;
          await this.#sendResult(id, result);
        }
      }
      if (isCurrent()) void this.#send({ id, type: MessageType.Complete });
    } catch (error) {
      if (isCurrent()) this.#sendErrors(id, error as Error);
    } finally {
      operation.stream?.end();
      if (isCurrent()) this.#operations.delete(id);
    }
  }

  #sendErrors(id: string, ...errors: readonly Error[]): void {
    const payload: GraphQLFormattedError[] = formatErrors(errors, this.#run.report);
    void this.#send({ id, type: MessageType.Error, payload });
  }

  #sendResult(id: string, result: Parameters<typeof formatResult>[0]): Promise<void> {
    return this.#send({ id, type: MessageType.Next, payload: formatResult(result, this.#run.report) });
  }

  /** Resolves when the message has left this process, or cannot any more. */
  #send(message: object): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.readyState !== WebSocket.OPEN) return resolve();
      this.#socket.send(JSON.stringify(message), () => resolve());
    });
  }

  #ping(): void {
    if (!this.#isAlive) this.#socket.terminate();
    else {
      this.#isAlive = false;
      this.#socket.ping();
    }
  }

  #close(code: number, reason: string): void {
    this.#socket.close(
      code,
      Buffer.from(reason)
        .subarray(0, MAX_REASON)
        .toString('utf8')
        .replace(/\ufffd+$/, ''),
    );
    this.#end();
  }

  #end(): void {
    clearTimeout(this.#initTimer);
    clearInterval(this.#pingTimer);
    for (const { stream } of this.#operations.values()) stream?.end();
    this.#operations.clear();
  }
}
