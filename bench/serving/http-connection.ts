/**
 * One keep-alive HTTP/1.1 connection with at most one request in flight, on a bare socket. The client costs a few
 * microseconds a request, so that it does not distort the measurement.
 */
import { connect, type Socket } from 'node:net';

/** The answer to one request. */
export interface Answer {
  /** HTTP status; 0 if the connection broke. */
  readonly status: number;
  /** Whether the body began as expected. */
  readonly good: boolean;
}

/** Received bytes are examined at once, and copied if they must be kept, so all connections share one buffer. */
const readBuffer = Buffer.allocUnsafeSlow(128 * 1024);
const LENGTH = /\r\ncontent-length: *(\d+)/i;
const CLOSE = /\r\nconnection: *close/i;

/** Sends requests one after the other over one connection. */
export class HttpConnection {
  readonly #port: number;
  readonly #prefixes: readonly Buffer[];
  readonly #onAnswer: (connection: HttpConnection, answer: Answer) => void;
  #socket: Socket | null = null;
  #head: Buffer | null = null;
  #remaining = 0;
  #status = 0;
  #good = false;
  #closing = false;
  #busy = false;
  /** For the owner: when the request was due and when it was sent, as `performance.now()`. */
  intended = 0;
  sent = 0;

  constructor(
    port: number,
    prefixes: readonly string[],
    onAnswer: (connection: HttpConnection, answer: Answer) => void,
  ) {
    this.#port = port;
    this.#prefixes = prefixes.map((prefix) => Buffer.from(prefix));
    this.#onAnswer = onAnswer;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Connects. Resolves when a request may be sent. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const onread = { buffer: readBuffer, callback: (count: number) => this.#read(readBuffer.subarray(0, count)) };
      const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true, onread });
      this.#socket = socket;
      socket.once('connect', resolve);
      socket.on('error', reject);
      socket.on('close', () => {
        if (this.#socket !== socket) return;
        this.#socket = null;
        if (this.#busy) this.#finish(0, false);
      });
    });
  }

  /** Sends the bytes of a whole request. Reconnects first if the server has closed the connection. */
  send(bytes: Buffer): void {
    this.#busy = true;
    if (this.#socket) this.#socket.write(bytes);
    else
      this.open().then(
        () => this.#socket?.write(bytes),
        () => this.#busy && this.#finish(0, false),
      );
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#busy = false;
    socket?.destroy();
  }

  #read(chunk: Buffer): boolean {
    // Bytes without a request (a 408 on an unused connection) are not the answer to the next request.
    if (!this.#busy) {
      this.close();
      return true;
    }
    if (this.#remaining > 0) {
      this.#remaining -= chunk.length;
      if (this.#remaining <= 0) this.#finish(this.#status, this.#good);
      return true;
    }
    const head = this.#head ? Buffer.concat([this.#head, chunk]) : chunk;
    const end = head.indexOf('\r\n\r\n');
    const length = end < 0 ? null : LENGTH.exec(head.toString('latin1', 0, end));
    // The buffer is reused, so bytes to keep must be copied. The first bytes of the body are needed to judge it.
    if (end < 0 || (length && Number(length[1]) >= 16 && head.length < end + 20)) {
      this.#head = Buffer.from(head);
      return true;
    }
    this.#head = null;
    if (!length) {
      this.close();
      this.#finish(0, false);
      return true;
    }
    const body = end + 4;
    this.#closing = CLOSE.test(head.toString('latin1', 0, end));
    this.#status = Number(head.toString('latin1', 9, 12));
    this.#good = this.#prefixes.some((prefix) => prefix.equals(head.subarray(body, body + prefix.length)));
    this.#remaining = Number(length[1]) - (head.length - body);
    if (this.#remaining <= 0) this.#finish(this.#status, this.#good);
    return true;
  }

  #finish(status: number, good: boolean): void {
    this.#head = null;
    this.#remaining = 0;
    if (this.#closing) {
      this.#closing = false;
      this.#socket?.destroy();
      this.#socket = null;
    }
    this.#busy = false;
    this.#onAnswer(this, { status, good });
  }
}
